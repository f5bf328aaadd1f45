"""Values that several families' configs hold."""

from __future__ import annotations

from typing import Any, Literal


def text_repr_type(value: Any) -> Literal["quad", "poly"]:
    """How a post-processor outlines text."""
    if value == "quad":
        return "quad"
    if value == "poly":
        return "poly"
    raise ValueError(f"expected 'quad' or 'poly', got {value!r:.80}")
