"""Errors that users see. Each message says what was got, what is allowed and what to do."""

from __future__ import annotations


class OcrError(ValueError):
    """Base of every error that this project raises for its users."""


class ConfigError(OcrError):
    """A config file or option is wrong."""


class WeightsError(OcrError):
    """A weight file is unreadable, unsafe, or does not fit the network."""


class InputError(OcrError):
    """One item of a request (an image, a text) cannot be used.

    Args:
        code: HTTP status for this item, 4xx.
        kind: stable snake_case reason, e.g. ``"undecodable_image"``; clients rely on it.
        message: sentence for people.
    """

    def __init__(self, code: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.message = message

    def to_json(self) -> dict[str, object]:
        """The error body of the HTTP answer."""
        return {"code": self.code, "type": self.kind, "message": self.message}
