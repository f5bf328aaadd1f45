"""What differs between kinds of models in training: batches, losses, evaluation."""

from .build import build_task
from .task import Task

__all__ = ["Task", "build_task"]
