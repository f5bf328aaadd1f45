"""Values that several families' configs hold."""

from __future__ import annotations

from typing import Any, Literal

from ocr_models.config_section import Section


def text_repr_type(value: Any) -> Literal["quad", "poly"]:
    """How a post-processor outlines text."""
    if value == "quad":
        return "quad"
    if value == "poly":
        return "poly"
    raise ValueError(f"expected 'quad' or 'poly', got {value!r:.80}")


def pass_handed_down(decoder: Section) -> None:
    """Lets a decoder's dictionary have what MMOCR overwrites with its model's or convertor's."""
    for key in ("num_classes", "start_idx", "padding_idx", "max_seq_len"):
        decoder.has(key)
