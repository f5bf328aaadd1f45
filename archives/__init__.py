"""Checkpoint and config to model archive."""
