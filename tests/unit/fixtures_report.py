"""Made-up runs for the tests of the reports. No figure here was measured."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgebuild.action import ActionResult, Finding, Outcome, Reason
from edgebuild.gates import METRICS, Gate, Metric, judge_all
from edgebuild.results import ActionView, RunResult, TargetResult

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart" / "data"
CLASSES = ("bolt", "nut", "washer", "screw")
HOSTILE = """<script>alert("x")</script>&'`|*_[a](b)"""

SHARED = (
    ("export", "export ONNX", ()),
    ("calibrate", "calibrate", ("export",)),
    ("quantize", "quantize", ("calibrate", "export")),
    ("evaluate@float", "validate float", ("export",)),
    ("benchmark@float", "benchmark float", ("export",)),
)
OWN = (
    ("compile", "compile", ("quantize",)),
    ("evaluate", "validate", ("{}/compile", "export")),
    ("benchmark", "benchmark", ("{}/compile", "export")),
    ("verdict", "judge", ("{}/evaluate", "{}/benchmark", "evaluate@float", "benchmark@float")),
    ("package", "package", ("{}/verdict", "{}/compile", "{}/evaluate", "export", "calibrate")),
)


def sample_run(folder: Path, targets: int = 4) -> RunResult:
    """Return a run with passed, rejected, failed and skipped targets; documents are written to ``folder``."""
    known = [
        _target(folder, "rpi5", "onnxruntime", "passed", drop=0.004, latency=38.2, size=2.9),
        _target(folder, "n100-box", "openvino", "passed", drop=0.004, latency=9.4, size=3.1),
        _target(folder, "ascend-310p", "ascend", "rejected", drop=0.046, latency=2.1, size=4.8, proxy=True),
        _skipped("mlu370"),
    ]
    extra = [
        _target(
            folder, f"board-{index:03}", "acme", "passed", drop=index / 4000, latency=4.0 + index, size=3.0
        )
        for index in range(targets - len(known))
    ]
    chosen = tuple([*known, *extra][:targets])
    baseline = (*_accuracy(0.0, "host"), *_timing(61.5, "device"), _metric("size_mb", 10.6))
    return RunResult(
        name="fasteners",
        manifest="manifest.yaml",
        version="1.4.0",
        started="2026-01-02T03:04:05+00:00",
        seconds=192.4,
        exit_code=4,
        actions=_actions(chosen),
        targets=chosen,
        baseline=baseline,
        baseline_detections=write_detections(folder / "float.json", shift=0.0, seed=1),
        protocol={
            "task": "detect",
            "images": 40,
            "confidence": 0.001,
            "iou": 0.7,
            "imgsz": [320, 320],
            "images_digest": "sha256:" + "0123456789abcdef" * 4,
        },
    )


def failed_run(folder: Path) -> RunResult:
    """Return a run in which the last step of one target failed."""
    run = sample_run(folder)
    failed = replace(
        run.targets[1], status="failed", message="compile: exit code 1", verdicts=(), metrics=(), package=""
    )
    return replace(run, exit_code=3, targets=(run.targets[0], failed))


def hostile_run(folder: Path) -> RunResult:
    """Return a run in which every text is an attack on the report."""
    run = sample_run(folder, 2)
    finding = Finding(id=HOSTILE, level="warning", message=HOSTILE, hint=HOSTILE)
    reason = Reason(kind="option", what=HOSTILE, old=HOSTILE, new=HOSTILE, where=HOSTILE)
    result = ActionResult(
        id=HOSTILE, outcome=Outcome.FAILED, message=HOSTILE, log=HOSTILE, why=(reason,), findings=(finding,)
    )
    view = ActionView(
        id=HOSTILE, title=HOSTILE, targets=(HOSTILE,), needs=(), command=(HOSTILE,), result=result
    )
    metrics = (*run.targets[0].metrics, Metric(name=f"map50_95/{HOSTILE}", value=0.5))
    target = replace(
        run.targets[0], name=HOSTILE, toolchain=HOSTILE, recipe=HOSTILE, message=HOSTILE, package=HOSTILE,
        metrics=metrics, findings=(finding,),
    )  # fmt: skip
    return replace(
        run, name=HOSTILE, manifest=HOSTILE, version=HOSTILE, started=HOSTILE, actions=(view,),
        targets=(target, run.targets[1]), protocol={HOSTILE: {HOSTILE: [HOSTILE]}},
        baseline_detections=write_detections(folder / "hostile.json", classes=(HOSTILE,), name=HOSTILE),
    )  # fmt: skip


def write_detections(
    path: Path, *, shift: float = 1.5, seed: int = 2, classes: tuple[str, ...] = CLASSES, name: str = ""
) -> Path:
    """Write a detections document from the quickstart's labels, a little displaced."""
    generator = random.Random(seed)
    images = []
    for image in sorted((QUICKSTART / "images" / "val").glob("*.jpg"))[:4]:
        truth = _labels(QUICKSTART / "labels" / "val" / f"{image.stem}.txt", classes)
        found = []
        for index, one in enumerate(truth):
            if shift and generator.random() < 0.12:
                continue
            box = [round(value + generator.uniform(-shift, shift), 1) for value in one["box"]]
            found.append({"class": one["class"], "score": round(0.95 - 0.02 * index, 4), "box": box})
        if shift and generator.random() < 0.5:
            found.append({"class": classes[0], "score": 0.31, "box": [200.0, 40.0, 260.0, 90.0]})
        images.append(
            {
                "file": name or f"images/val/{image.name}",
                "width": 320,
                "height": 320,
                "jpeg_base64": base64.b64encode(image.read_bytes()).decode("ascii"),
                "truth": truth,
                "detections": found,
            }
        )
    document = {"schema": 1, "confidence": 0.25, "images": images}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _labels(path: Path, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        index, x, y, width, height = line.split()[:5]
        left, top = (float(x) - float(width) / 2) * 320, (float(y) - float(height) / 2) * 320
        box = [left, top, left + float(width) * 320, top + float(height) * 320]
        rows.append({"class": classes[int(index) % len(classes)], "box": [round(v, 1) for v in box]})
    return rows


def _metric(name: str, value: float, evidence: str = "host") -> Metric:
    return Metric(
        name=name, value=round(value, 6), unit=METRICS[name.partition("/")[0]].unit, evidence=evidence
    )


def _accuracy(drop: float, evidence: str) -> tuple[Metric, ...]:
    whole = (("map50_95", 0.8731), ("map50", 0.9812), ("precision", 0.9634), ("recall", 0.9527))
    classes = zip(CLASSES, (0.91, 0.88, 0.93, 0.77), (1.0, 0.5, 0.2, 3.0), strict=True)
    return (
        *(_metric(name, value - drop, evidence) for name, value in whole),
        *(_metric(f"map50_95/{name}", value - drop * loss, evidence) for name, value, loss in classes),
    )


def _timing(latency: float, evidence: str) -> tuple[Metric, ...]:
    rows = {"latency_ms_p50": latency, "latency_ms_p90": latency * 1.06, "throughput": 1000 / latency,
            "peak_memory_mb": 96.0 + latency}  # fmt: skip
    return tuple(_metric(name, value, evidence) for name, value in rows.items())


def _target(
    folder: Path, name: str, toolchain: str, status: Any, *, drop: float, latency: float, size: float,
    proxy: bool = False,
) -> TargetResult:  # fmt: skip
    timing = () if proxy else _timing(latency, "device" if name == "rpi5" else "host")
    metrics = (*_accuracy(drop, "proxy" if proxy else "host"), *timing, _metric("size_mb", size))
    gates = (
        Gate(metric="map50_95", kind="min", limit=0.85),
        Gate(metric="map50_95", kind="max_drop", limit=0.02),
        Gate(metric="latency_ms_p50", kind="max", limit=40, evidence="device" if proxy else ""),
        Gate(metric="size_mb", kind="max", limit=5),
    )
    baseline = {metric.name: metric for metric in _accuracy(0.0, "host")}
    return TargetResult(
        name=name,
        toolchain=toolchain,
        recipe="int8",
        ship=True,
        status=status,
        metrics=metrics,
        verdicts=judge_all(gates, {metric.name: metric for metric in metrics}, baseline),
        package=f"dist/fasteners/fasteners-{name}-1.4.0.tar.gz",
        artifact=f"build/fasteners/{name}/model",
        detections=write_detections(folder / f"{toolchain}.json", seed=3 if proxy else 2),
    )


def _skipped(name: str) -> TargetResult:
    return TargetResult(
        name=name, toolchain="cambricon", recipe="fp16", ship=True, status="skipped",
        message="toolchain cambricon is not installed: magicmind was not found",
    )  # fmt: skip


def _actions(targets: tuple[TargetResult, ...]) -> tuple[ActionView, ...]:
    names = tuple(target.name for target in targets)
    views = [_view(id_, title, needs, names, "cached") for id_, title, needs in SHARED]
    for target in targets:
        for step, title, needs in OWN:
            outcome = "skipped" if target.status == "skipped" else "current" if step == "compile" else "ran"
            wanted = tuple(need.format(target.name) for need in needs)
            views.append(_view(f"{target.name}/{step}", title, wanted, (target.name,), outcome))
    return tuple(views)


def _view(id_: str, title: str, needs: tuple[str, ...], targets: tuple[str, ...], outcome: str) -> ActionView:
    why = {
        "ran": Reason(kind="option", what="targets.rpi5.batch", old="1", new="4", where="manifest.yaml:31"),
        "skipped": Reason(kind="unavailable", what="magicmind", new="not found"),
    }.get(outcome, Reason(kind="unchanged", what="everything it depends on"))
    warning = Finding(
        id="cpu-fallback", level="warning", message="2 operators run on the CPU: Resize, Softmax",
        hint="Export with opset 13, or accept the slower head.",
    )  # fmt: skip
    result = ActionResult(
        id=id_,
        outcome=Outcome(outcome),
        seconds=3.2 if outcome == "ran" else 0.0,
        log=f".edgebuild/logs/{id_}.log" if outcome == "ran" else "",
        message="its toolchain is missing" if outcome == "skipped" else "",
        why=(why,),
        findings=(warning,) if id_.endswith("ascend-310p/benchmark") else (),
    )
    command = ("python", "-m", f"edgebuild.steps.{title.split(maxsplit=1)[0]}", "--output", "out/a file.json")
    return ActionView(id=id_, title=title, targets=targets, needs=needs, command=command, result=result)


def two_heads_run(folder: Path) -> RunResult:
    """Return a run whose second target has another head than the float model of the first."""
    run = sample_run(folder)
    other = (*_accuracy(0.02, "host"), *_timing(60.1, "device"))
    seen = write_detections(folder / "other-float.json", shift=0.0, seed=3)
    fitted = replace(run.targets[1], baseline=other, baseline_detections=seen)
    return replace(run, targets=(run.targets[0], fitted, *run.targets[2:]))


def batch_run(folder: Path) -> RunResult:
    """Return a run whose first target takes eight images per call, too slowly."""
    run = sample_run(folder, 2)
    first = run.targets[0]
    metrics = tuple(
        replace(one, batch=8) if METRICS[one.name.partition("/")[0]].source == "benchmark" else one
        for one in first.metrics
    )
    gates = (Gate(metric="latency_ms_p50", kind="max", limit=10),)
    verdicts = judge_all(gates, {metric.name: metric for metric in metrics}, {})
    slow = replace(first, status="rejected", metrics=metrics, verdicts=verdicts)
    return replace(run, targets=(slow, *run.targets[1:]))
