"""Fetching published checkpoints, from a server of our own."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from ocr_models import zoo
from ocr_models.config_section import Section
from ocr_models.detection.families import build_network
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.from_mmocr.codecs import charset
from ocr_models.mmocr_config import load_config
from ocr_models.spec import DetectorSpec
from ocrserve import downloads
from ocrserve.cli import main
from ocrserve.downloads import DownloadError, download
from ocrserve.model_names import DICTIONARY_OPTION, model_sources

CONTENT = bytes(range(256)) * 20_000  # five chunks
CONFIGS = Path(__file__).parents[2] / "configs"


class Mirror(ThreadingHTTPServer):
    """Answers each path with what ``files`` holds; a status, or bytes and the length to state."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, int | tuple[bytes, int]] = {}
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Mirror)
        self.server.asked.append(self.path)
        answer = self.server.files.get(self.path, 404)
        if isinstance(answer, int):
            self.send_error(answer)
            return
        content, stated = answer
        self.send_response(200)
        self.send_header("Content-Length", str(stated))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(downloads.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}/zoo")
        yield server
        server.shutdown()
        thread.join()


def entry_of(content: bytes) -> zoo.ZooEntry:
    """A detector whose published file holds ``content``."""
    prefix = hashlib.sha256(content).hexdigest()[:8]
    return dataclasses.replace(
        zoo.ZOO["dbnet_r18_fpnc_1200e_icdar2015"],
        name="tiny",
        alias="Tiny",
        config="textdet/dbnet/dbnet_light_fpnc_synthetic.py",
        url_path=f"textdet/tiny-{prefix}.pth",
        sha256_prefix=prefix,
    )


def serve(mirror: Mirror, entry: zoo.ZooEntry, answer: int | tuple[bytes, int]) -> None:
    mirror.files[f"/zoo/{entry.url_path}"] = answer


def test_a_file_is_fetched_once(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = entry_of(CONTENT)
    serve(mirror, entry, (CONTENT, len(CONTENT)))
    folder = tmp_path / "made" / "when needed"
    path = download(entry, folder)
    assert path == folder / str(entry.file_name)
    assert path.read_bytes() == CONTENT
    assert download(entry, folder) == path
    assert mirror.asked == [f"/zoo/{entry.url_path}"]
    assert [file.name for file in folder.iterdir()] == [entry.file_name]
    assert capsys.readouterr().err == f"{entry.file_name}: 5.1 of 5.1 MB\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (404, "the server answers 404 Not Found; without a network, copy the file to"),
        (503, "the server answers 503"),
        ((CONTENT[::-1], len(CONTENT)), "is not the published file: its SHA-256 begins with"),
        ((b"", 0), "is not the published file"),
        ((CONTENT[:-7], len(CONTENT)), "connection broke after 5119993 of 5120000 bytes"),
    ],
)
def test_failures_leave_nothing_behind(
    mirror: Mirror, tmp_path: Path, answer: int | tuple[bytes, int], message: str
) -> None:
    entry = entry_of(CONTENT)
    serve(mirror, entry, answer)
    with pytest.raises(DownloadError, match=message):
        download(entry, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv(downloads.MIRROR_VARIABLE, f"http://127.0.0.1:{port}")
    with pytest.raises(
        DownloadError, match=r"refused; without a network, copy the file to .*/sub/"
    ):
        download(entry_of(CONTENT), tmp_path / "sub")


def test_a_folder_that_cannot_be_written(mirror: Mirror, tmp_path: Path) -> None:
    entry = entry_of(CONTENT)
    serve(mirror, entry, (CONTENT, len(CONTENT)))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError, match=r"cannot download .* to .*file/"):
        download(entry, tmp_path / "file")


def test_an_unencrypted_detour_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        url = "http://elsewhere.example/tiny.pth"

        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.delenv(downloads.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(downloads.urllib.request, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(DownloadError, match=r"https://download\.openmmlab\.com.* not encrypted"):
        download(entry_of(CONTENT), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert downloads.cache_folder() == tmp_path / "ocrserve" / "checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert downloads.cache_folder() == tmp_path / ".cache" / "ocrserve" / "checkpoints"


def test_convert_downloads_a_named_model(
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = model_from_mmocr(load_config(CONFIGS / entry_of(b"").config))
    assert isinstance(spec, DetectorSpec)
    torch.save({"state_dict": build_network(spec.network).state_dict()}, tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    entry = entry_of(content)
    serve(mirror, entry, (content, len(content)))
    monkeypatch.setattr(zoo, "ZOO", {entry.name: entry})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    words = ["convert", "Tiny", "--output-folder", "store", "--model-name", "tiny"]
    assert main(words) == 1
    assert "'ocrserve convert Tiny --download' fetches them" in capsys.readouterr().err
    assert main([*words, "--download"]) == 0
    assert (tmp_path / "store" / "tiny.mar").is_file()
    assert main([*words, "--force"]) == 0  # now from the cache
    assert len(mirror.asked) == 1


def test_a_dictionary_comes_with_its_weights(
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SAR_CN: its config names a dictionary file that neither we nor the checkpoint hold."""
    entry = zoo.ZOO["sar_r31_parallel_decoder_chinese"]
    weights = dataclasses.replace(entry, sha256_prefix=hashlib.sha256(CONTENT).hexdigest()[:8])
    monkeypatch.setattr(zoo, "ZOO", {entry.name: weights})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        model_sources("SAR_CN", "recognizer")
    for part in (
        "SAR_CN needs its dictionary dict_printed_chinese_english_digits.txt",
        "'ocrserve convert SAR_CN --download'",
        "textrecog/sar/dict_printed_chinese_english_digits.txt to checkpoints/",
        "--cfg-options model.label_convertor.dict_file=PATH",
    ):
        assert part in str(caught.value)

    serve(mirror, weights, (CONTENT, len(CONTENT)))
    mirror.files[f"/zoo/{entry.dictionary_url_path}"] = ("一\n二\n".encode(), 8)
    (source,) = model_sources("SAR_CN", "recognizer", download=True)
    cache = downloads.cache_folder()
    dictionary = cache / str(entry.dictionary_name)
    assert source.weights == cache / str(entry.file_name)
    assert source.options == {DICTIONARY_OPTION: str(dictionary)}
    assert dictionary.read_text(encoding="utf-8") == "一\n二\n"
    assert source.config is not None
    config = load_config(source.config, source.options)
    assert charset(Section(config["model"]["label_convertor"], "convertor")) == "一二"

    (again,) = model_sources("sar_cn", "recognizer")  # from the cache
    assert again == source
    own = {DICTIONARY_OPTION: "mine.txt"}
    assert model_sources("SAR_CN", "recognizer", own)[0].options == own
    named = tmp_path / "data" / "chineseocr" / "labels" / str(entry.dictionary_name)
    named.parent.mkdir(parents=True)
    named.write_text("一\n", encoding="utf-8")  # where MMOCR's own instructions put it
    assert model_sources("SAR_CN", "recognizer")[0].options == {}


def test_every_published_model_is_found_by_name_and_alias(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    published = [entry for entry in zoo.ZOO.values() if entry.file_name]
    assert len(published) >= 29
    for entry in published:
        for file in filter(None, (entry.file_name, entry.dictionary_name)):
            (tmp_path / "checkpoints" / file).write_bytes(b"x")
        for name in filter(None, (entry.name, entry.alias, (entry.alias or "").lower())):
            (source,) = model_sources(name)
            assert source.config == CONFIGS / entry.config
            assert source.weights == Path("checkpoints") / str(entry.file_name)
