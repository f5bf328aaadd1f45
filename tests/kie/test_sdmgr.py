"""The network beyond MMOCR's numbers (``test_conformance.py``): sizes, parts, independence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ocr_models.kie import sdmgr
from ocr_models.kie.sdmgr import SDMGR, PageGraph, SDMGRConfig
from ocr_models.kie.unet import STRIDE, UNet

SMALL = {"visual_dim": 4, "fusion_dim": 60, "node_input": 8, "node_embed": 16, "edge_embed": 16}


def network(visual: bool) -> SDMGR:
    torch.manual_seed(0)
    return SDMGR(SDMGRConfig(visual=visual, num_classes=5, **SMALL)).eval()  # type: ignore[arg-type]


def page(count: int, seed: int = 0) -> PageGraph:
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(-1, 92, (count, 7), generator=generator)
    texts = texts.sort(dim=1, descending=True).values  # padding last
    corners = torch.rand(count, 2, generator=generator) * 50
    return PageGraph(
        torch.randn(count, count, 5, generator=generator) * 5,
        texts,
        torch.cat([corners, corners + 12], dim=1),
    )


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 4 * STRIDE, 5 * STRIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("visual", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 400])
def test_any_number_of_words(visual: bool, count: int) -> None:
    with torch.inference_mode():
        output = network(visual)(images(1) if visual else None, [page(count)])
    assert output.nodes.shape == (count, 5)
    assert output.edges.shape == (count**2, 2)
    assert output.nodes.isfinite().all()
    assert output.edges.isfinite().all()


@pytest.mark.parametrize("visual", [False, True])
def test_pages_of_a_batch_do_not_see_each_other(visual: bool) -> None:
    model = network(visual)
    pages = [page(3, 1), page(0), page(5, 2), page(1, 3)]
    pictures = images(4) if visual else None
    with torch.inference_mode():
        together = model(pictures, pages)
        alone = [
            model(None if pictures is None else pictures[i : i + 1], [one])
            for i, one in enumerate(pages)
        ]
    for name in ("nodes", "edges"):
        joined = torch.cat([getattr(output, name) for output in alone])
        torch.testing.assert_close(getattr(together, name), joined, rtol=1e-4, atol=1e-5)


def test_parts_of_a_page_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, graph = network(False), page(23)
    with torch.inference_mode():
        whole = model(None, [graph])
        monkeypatch.setattr(sdmgr, "_MAX_PAIRS", 60)
        parts = model(None, [graph])
    torch.testing.assert_close(parts.nodes, whole.nodes)
    torch.testing.assert_close(parts.edges, whole.edges)


def test_the_order_of_words_does_not_matter() -> None:
    model, graph = network(True), page(6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(2))
    shuffled = PageGraph(graph.relations[order][:, order], graph.texts[order], graph.boxes[order])
    with torch.inference_mode():
        one, other = model(images(1), [graph]), model(images(1), [shuffled])
    torch.testing.assert_close(other.nodes, one.nodes[order])
    pairs = one.edges.view(6, 6, 2)[order][:, order].flatten(0, 1)
    torch.testing.assert_close(other.edges, pairs)


def test_padding_of_texts_does_not_matter() -> None:
    model, graph = network(False), page(4)
    longer = graph._replace(texts=torch.nn.functional.pad(graph.texts, (0, 9), value=-1))
    empty = graph._replace(texts=torch.full((4, 0), -1))
    with torch.inference_mode():
        torch.testing.assert_close(
            model(None, [longer]).nodes, model(None, [graph]).nodes, rtol=1e-5, atol=1e-6
        )
        assert model(None, [empty]).nodes.isfinite().all()


def test_gradients_reach_every_parameter() -> None:
    model = network(True).train()
    output = model(images(2), [page(4, 1), page(3, 2)])
    (output.nodes.sum() + output.edges.square().sum()).backward()
    without = [name for name, value in model.named_parameters() if value.grad is None]
    assert without == []
    blind = network(False)
    blind(None, [page(4)]).nodes.sum().backward()
    unused = {name for name, value in blind.named_parameters() if value.grad is None}
    assert {name for name in unused if not name.startswith("bbox_head.edge_cls")} == {
        name
        for name, _ in blind.named_parameters()
        if name.startswith(("backbone.", "bbox_head.fusion."))
    }


def test_visual_networks_need_images() -> None:
    with pytest.raises(ValueError, match="needs an image of each page"):
        network(True)(None, [page(2)])


def test_unet_keeps_the_size() -> None:
    with torch.inference_mode():
        maps = UNet(4).eval()(torch.zeros(2, 3, 3 * STRIDE, STRIDE))
    assert maps.shape == (2, 4, 3 * STRIDE, STRIDE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0"),
        ({"edge_embed": 32}, "edge_embed is 32 and node_embed 16"),
        ({"fusion_dim": 30}, "fusion_dim is 30"),
    ],
)
def test_configs_are_checked(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SDMGRConfig(**(SMALL | change))  # type: ignore[arg-type]
