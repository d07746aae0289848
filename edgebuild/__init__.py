"""edgebuild: one manifest takes a YOLO model to checked, reproducible, per-device packages."""

__version__ = "0.1.0"
