"""Ultralytics' metrics under our names: ``map50_95``, ``map50/<class>``, ``map50_95_mask``, ``top1``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND_METRICS = {"segment": ("seg", "mask"), "pose": ("pose", "pose")}
"""Tasks that are scored twice: the attribute of Ultralytics' metrics, and the suffix of our names."""

DECIMALS = 6
"""Decimals a metric keeps."""


def read_metrics(found: Any, task: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Read the figures off a validator's metrics.

    Args:
        found: The ``metrics`` of an Ultralytics validator after ``get_stats``.
        task: detect, segment, pose, obb or classify.
        names: Class names by class id.

    Returns:
        ``{"name", "value", "unit"}`` of each metric.

    Raises:
        StepFailure: No object is labelled, so there is nothing to score.
    """
    if task == "classify":
        return [_metric("top1", found.top1), _metric("top5", found.top5)]
    if not len(found.box.ap_class_index):
        fail("no object is labelled in the validation images", hint="validate on images with labels")
    metrics = _box_metrics(found.box, "", names)
    if task in SECOND_METRICS:
        attribute, suffix = SECOND_METRICS[task]
        metrics += _box_metrics(getattr(found, attribute), f"_{suffix}", names)
    return metrics


def _box_metrics(found: Any, suffix: str, names: Sequence[str]) -> list[dict[str, Any]]:
    metrics = [
        _metric(f"map50_95{suffix}", found.map),
        _metric(f"map50{suffix}", found.map50),
        _metric(f"precision{suffix}", found.mp),
        _metric(f"recall{suffix}", found.mr),
    ]
    values = {"map50_95": found.ap, "map50": found.ap50, "precision": found.p, "recall": found.r}
    # Ultralytics lists only classes that are labelled at least once; the others have no figure.
    return metrics + [
        _metric(f"{name}{suffix}/{names[int(index)]}", value)
        for name, of_classes in values.items()
        for index, value in zip(found.ap_class_index, of_classes, strict=True)
    ]


def _metric(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "value": round(float(value), DECIMALS), "unit": ""}
