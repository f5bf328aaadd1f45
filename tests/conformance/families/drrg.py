"""DRRG.

Three of MMOCR's choices depend on how a sort orders equal keys, which differs between processors
(numpy's) or is arbitrary (C++'s): the pixels of a row before components are merged, equally distant
neighbours, and equally good components of the targets. What comes before such a choice is compared
exactly, and what follows from the stored outcome of it too; the outcome itself by what it covers.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ocr_models.detection.drrg import DRRG, DRRGConfig, DRRGHead
from ocr_models.detection.drrg_components import (
    ComponentProposals,
    GeometryMaps,
    propose_components,
)
from ocr_models.detection.drrg_graphs import LocalGraphs, local_graphs, nearest_others
from ocr_models.detection.drrg_postprocess import DRRGPostprocessing, drrg_boundaries
from ocr_models.detection.quad_nms import locality_aware_nms
from ocr_models.spec import DetectorSpec, Spec
from ocrserve.train.objectives.drrg import (
    DRRGImageTargets,
    DRRGLoss,
    DRRGLossConfig,
    DRRGObjective,
    DRRGTargetMaps,
)
from ocrserve.train.objectives.drrg_targets import DRRGTargets, make_targets

from .. import boundaries, formulas
from ..check import EXACT, Check
from ..kit import Arrays, Kit, compare_flat, compare_forward
from .family import DETECTION_PIPELINE, Entry, Family, loss_arguments

MAP_NAMES = (
    "gt_text_mask",
    "gt_center_region_mask",
    "gt_mask",
    "gt_top_height_map",
    "gt_bot_height_map",
    "gt_sin_map",
    "gt_cos_map",
)
WHOLE_NUMBER_MAPS = MAP_NAMES[:3]
ALLOWED_TARGET = 1e-4
ALLOWED_FEATURE = 1e-4
ALLOWED_STATISTIC = 1e-3
ALLOWED_QUAD_PX = 1e-2
# Components stand for each other when their centres are closer than this, the least width of one.
ALLOWED_GAP_PX = 8.0
# Difference of the areas that two sets of components cover, over their union.
ALLOWED_COVER = 0.1


def _forward(network: nn.Module, spec: Spec, images: Tensor, arrays: Arrays, check: Check) -> None:
    assert isinstance(network, DRRG)
    assert isinstance(spec, DetectorSpec)
    levels = network.backbone(images)
    compare_forward(check, arrays, "backbone_last", levels[-1].numpy())
    features = network.features(images).numpy()
    compare_forward(check, arrays, "neck", features[:, :-6])
    compare_forward(check, arrays, "pred_maps", features[:, -6:])
    seed = int(arrays["input_seed"])
    nodes = formulas.tensor(arrays["gcn_node_feats__shape"].tolist(), seed + 5)
    total = float(nodes.astype(np.float64).sum())
    check.relative("nodes sum", total, float(arrays["gcn_node_feats__sum"]), 1e-6)
    places = torch.from_numpy(arrays["gcn_knn"])
    links = torch.arange(len(nodes))[:, None] * nodes.shape[1] + places
    adjacency = torch.from_numpy(arrays["gcn_adj"])
    logits = network.bbox_head.gcn(torch.from_numpy(nodes), adjacency, links.flatten())
    compare_forward(check, arrays, "gcn_out", logits.numpy())


def _train_forward(
    network: nn.Module,
    spec: Spec,
    images: Tensor,
    model: Entry,
    entry: Entry,
    arrays: Arrays,
    check: Check,
) -> dict[str, Tensor]:
    assert isinstance(spec, DetectorSpec)
    objective = DRRGObjective.from_model(spec, model)
    height, width = images.shape[-2:]
    targets = []
    for i in range(len(images)):
        content = entry[f"image{i}"]
        drawn = make_targets(
            content["polygons"], content["ignored"], height, width, np.random.default_rng(0)
        )
        components = arrays[f"gt_comp_attribs{i}"]
        check.equal(
            "number of components", components[:, 0].tolist(), [len(components)] * len(components)
        )
        targets.append(DRRGImageTargets(drawn.maps, components[:, 1:]))
    batch = objective.collate(targets)
    outputs = network(images, batch.labelled.graphs)
    compare_flat(check, arrays, "head", outputs.maps.detach().numpy())
    check.equal("gcn_labels", batch.labelled.same_text.numpy(), arrays["gcn_labels"].ravel())
    links = outputs.links.detach().numpy()
    check.array("gcn_pred", links, arrays["gcn_pred"], 1e-3, scale=float(arrays["gcn_pred"].std()))
    return objective.loss(outputs.maps, outputs.links, batch.maps, batch.labelled.same_text)


def _single_test(kit: Kit, entry: Entry, check: Check) -> None:
    arrays = kit.arrays(f"postprocess/{entry['input']}")
    arguments = entry["args"]
    config = DRRGConfig(
        neck_channels=arguments["in_channels"],
        proposals=ComponentProposals(
            text_region_thr=arguments["text_region_thr"],
            center_region_thr=arguments["center_region_thr"],
        ),
    )
    _compare_proposals(arrays, config.proposals, check)
    attributes = arrays["comp_attribs"]
    _compare_neighbours(attributes[:, :2], arrays["pivot_knn_nodes"], check)
    graphs = local_graphs(attributes, arrays["pivot_knn_nodes"], config.graphs)
    _compare_graphs(graphs, arrays, check)
    head = DRRGHead(config).eval()
    formulas.fill(head, kit.seed)
    source = entry["features"]
    neck = torch.from_numpy(formulas.tensor(source["shape"], source["seed"]))
    features = torch.cat([neck, torch.from_numpy(arrays["pred_maps"])[None]], dim=1)
    with torch.inference_mode():
        components = head.component_features(features, graphs)
        probabilities = head.link_logits(components, graphs).softmax(dim=1)[:, 1].numpy()
    _compare_features(components, graphs, arrays, check)
    check.array("link scores", probabilities, arrays["scores"], 1e-4)
    got = drrg_boundaries(
        arrays["edges"],
        arrays["scores"],
        arrays["text_comps"],
        DRRGPostprocessing(arguments["link_thr"]),
    )
    boundaries.compare(
        check, "boundaries", sorted(boundaries.flat(got)), entry["boundaries_sorted"]
    )


def _compare_proposals(arrays: Arrays, config: ComponentProposals, check: Check) -> None:
    text, center, *geometry = arrays["pred_maps"]
    found = propose_components(_sigmoid(text), _sigmoid(center), GeometryMaps(*geometry), config)
    expected = arrays["text_comps"]
    _compare_centers(found.boxes[:, :8], expected[:, :8], check)
    ours, theirs = _covered(found.boxes, text.shape), _covered(expected, text.shape)
    check.measured("covered area", 1 - (ours & theirs).sum() / (ours | theirs).sum(), ALLOWED_COVER)
    # Whatever the boxes are, heights and directions are those of the maps at their centres.
    stored = arrays["comp_attribs"]
    x, y = stored[:, :2].astype(int).T
    scale = 1 / np.sqrt(geometry[0] ** 2 + geometry[1] ** 2 + 1e-8)
    check.array("heights", (geometry[2] + geometry[3])[y, x], stored[:, 2], 1e-4)
    check.array("cos", (geometry[1] * scale)[y, x], stored[:, 4], 1e-4)
    check.array("sin", (geometry[0] * scale)[y, x], stored[:, 5], 1e-4)


def _compare_neighbours(
    centers: NDArray[np.float64], expected: NDArray[np.int32], check: Check
) -> None:
    """By their distances, which two neighbours may share."""
    got = nearest_others(centers, expected.shape[1])
    for ours, theirs, center in zip(got, expected, centers, strict=True):
        near, stored = (np.linalg.norm(centers[i] - center, axis=1) for i in (ours, theirs))
        check.array("distances of neighbours", near, stored, EXACT)


def _compare_graphs(graphs: LocalGraphs, arrays: Arrays, check: Check) -> None:
    rows = len(arrays["rois"])
    check.array("rois", graphs.boxes[:rows].numpy(), arrays["rois"], ALLOWED_FEATURE)
    check.array("geo_feats", graphs.geometry[:rows].numpy(), arrays["geo_feats"], ALLOWED_FEATURE)
    check.equal("edges", graphs.components(), arrays["edges"])
    nodes = [sorted(set(row)) for row in graphs.nodes.tolist()]
    check.equal("num_nodes", [len(row) for row in nodes], arrays["num_nodes"])
    stored = [[i for i in row if i >= 0] for row in arrays["local_graph_nodes_sorted"].tolist()]
    check.equal("local_graph_nodes", nodes, stored)
    expected = arrays["adj_pivot_row_sorted"]
    pivots = -np.sort(-graphs.adjacency[:, 0].numpy(), axis=1)[:, : expected.shape[1]]
    check.array("adj_pivot_row", pivots, expected[:, : pivots.shape[1]], 1e-6)


def _compare_features(
    components: Tensor, graphs: LocalGraphs, arrays: Arrays, check: Check
) -> None:
    pooled = arrays["pooled"]
    flat = components[: len(pooled), : pooled[0].size].numpy()
    check.array("pooled", flat, pooled.reshape(len(pooled), -1), ALLOWED_FEATURE)
    gathered = components[graphs.nodes]
    nodes = (gathered - gathered[:, :1]).numpy().astype(np.float64)
    check.equal("node_feat_shape", nodes.shape, arrays["node_feat_shape"])
    mean, deviation, total = arrays["node_feat_stats"].tolist()
    check.number("node_feat mean", float(nodes.mean()), mean, ALLOWED_STATISTIC, deviation)
    check.relative("node_feat std", float(nodes.std()), deviation, ALLOWED_STATISTIC)
    check.relative("node_feat abssum", np.abs(nodes).sum(), total, ALLOWED_STATISTIC)
    adjacency = graphs.adjacency.numpy().astype(np.float64)
    mean, deviation, total = arrays["adj_stats"].tolist()
    check.relative("adjacency mean", adjacency.mean(), mean, ALLOWED_STATISTIC)
    check.relative("adjacency std", adjacency.std(), deviation, ALLOWED_STATISTIC)
    check.relative("adjacency abssum", np.abs(adjacency).sum(), total, ALLOWED_STATISTIC)


def _links(kit: Kit, entry: Entry, check: Check) -> None:
    arrays = kit.arrays(f"postprocess/{entry['input']}")
    config = DRRGPostprocessing(**entry["args"])
    got = drrg_boundaries(arrays["edges"], arrays["link_scores"], arrays["text_comps"], config)
    boundaries.compare(
        check, "boundaries", sorted(boundaries.flat(got)), entry["boundaries_sorted"]
    )


def _locality_aware_nms(_: Kit, entry: Entry, check: Check) -> None:
    quads = np.array(entry["quads_with_score"], np.float32)
    for threshold, expected in entry["results"].items():
        kept = locality_aware_nms(quads, float(threshold))[0]
        got, stored = (sorted(rows) for rows in (kept.tolist(), expected))
        check.array(f"quads at {threshold}", got, stored, ALLOWED_QUAD_PX)
        check.array(f"order at {threshold}", kept[:, 8], np.array(expected)[:, 8], 1e-6)


def _targets(setting: Entry, scene: Entry, expected: Arrays, check: Check) -> None:
    config = DRRGTargets(**loss_arguments(setting))
    rng = np.random.default_rng(0)
    height, width = scene["img_hw"]
    drawn = make_targets(scene["polygons"], scene["ignored"], height, width, rng, config)
    for name, got in zip(MAP_NAMES, drawn.maps, strict=True):
        allowed = EXACT if name in WHOLE_NUMBER_MAPS else ALLOWED_TARGET
        check.array(name, got[None], expected[name], allowed)
    stored = expected["gt_comp_attribs"][:, 1:]
    ours, theirs = set(drawn.components[:, 6].tolist()), set(stored[:, 6].tolist())
    check.equal("regions with components", sorted(ours), sorted(theirs))
    for region in (ours & theirs) - {0.0}:
        own, other = (rows[rows[:, 6] == region, :2] for rows in (drawn.components, stored))
        _compare_gaps(own, other, check)


def _compare_centers(
    ours: NDArray[np.floating], theirs: NDArray[np.floating], check: Check
) -> None:
    own, other = (quads.reshape(-1, 4, 2).mean(axis=1) for quads in (ours, theirs))
    _compare_gaps(own, other, check)


def _compare_gaps(ours: NDArray[np.floating], theirs: NDArray[np.floating], check: Check) -> None:
    """Every point of either set has one of the other near it."""
    table = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    check.measured("gap at a stored component", float(table.min(axis=0).max()), ALLOWED_GAP_PX)
    check.measured("gap at a component of ours", float(table.min(axis=1).max()), ALLOWED_GAP_PX)


def _covered(boxes: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, np.uint8)
    for box in boxes[:, :8].reshape(-1, 4, 2).astype(np.int32):
        cv2.fillPoly(canvas, [box], (1,))
    return canvas > 0


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return torch.from_numpy(logits).sigmoid().numpy()


def _losses(arrays: Arrays, entry: Entry, _: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    maps, links = (
        torch.from_numpy(arrays[name]).requires_grad_() for name in ("preds", "gcn_pred")
    )
    ratio = entry["downsample_ratio"]
    targets = DRRGTargetMaps(*(torch.from_numpy(arrays[name]) for name in MAP_NAMES))
    small = [F.interpolate(m.float(), scale_factor=ratio, mode="nearest")[:, 0] for m in targets]
    for height in (3, 4):
        small[height] = small[height] * ratio
    loss = DRRGLoss(DRRGLossConfig(**entry["args"]))
    labels = torch.from_numpy(arrays["gcn_labels"]).flatten()
    return {"preds": maps, "gcn_pred": links}, loss(maps, links, DRRGTargetMaps(*small), labels)


DRRG_FAMILY = Family(
    model_type="DRRG",
    part_types={
        "backbone": ("mmdet.ResNet",),
        "neck": ("FPN_UNet",),
        "bbox_head": ("DRRGHead",),
    },
    pipeline=DETECTION_PIPELINE,
    forward=_forward,
    train_forward=_train_forward,
    postprocess={
        "DRRGHead.single_test+get_boundary": _single_test,
        "DRRGPostprocessor": _links,
        "lanms merge_quadrangle_n9": _locality_aware_nms,
    },
    targets={"DRRGTargets": _targets},
    losses={"DRRGLoss": _losses},
)
