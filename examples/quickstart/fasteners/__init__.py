"""Scenes of industrial fasteners, drawn from a seed: what make_data.py writes to disk."""

from __future__ import annotations

CLASSES = ("bolt", "nut", "washer", "screw")
"""Class names in the order of their label numbers."""

SIDE = 320
"""Width and height of every image, in pixels."""
