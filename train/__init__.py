"""Trainers, losses, targets and data."""
