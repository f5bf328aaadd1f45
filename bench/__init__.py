"""Measurements of speed and quality; run from the repository's root, not installed.

``python -m bench --write docs/benchmarks.md`` measures again whatever that document shows.
"""
