"""What quantization costs and buys: edgebuild's recipes and its peers on one model, under one protocol.

python benchmarks/quantization.py MANIFEST --work FOLDER [--openvino VENV] [--olive VENV]

Accuracy is that of edgebuild's own validation step on the manifest's validation set, for every artifact.
Latency is measured in one process, in turn. A peer whose environment is not given is left out, with a line
that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from common import HERE, REPOSITORY, edgebuild, machine

sys.path.insert(0, str(REPOSITORY))
from edgebuild.run.forecast import forecast
from edgebuild.run.session import Silence, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgebuild.action import Action
    from edgebuild.run.session import Session

PEERS = HERE / "peers"
RUNTIME = str(PEERS / "openvino_runtime.py")
QUANTIZING = ("calibrate", "preprocess", "ranges", "quantize", "search", "probe")
"""Steps whose time is the time to quantize; the sum of what a target needed."""


@dataclass(kw_only=True)
class Variant:
    """One row of the table.

    Attributes:
        runtime: ``runtime.py`` that runs the artifact; None: ONNX Runtime.
        seconds: Time to quantize.
        metrics: From the validation step.
        latency: Threads -> p50 and p90 of the wall time, and the median CPU time (cpu), in milliseconds.
    """

    name: str
    artifact: Path
    runtime: str | None = None
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    latency: dict[int, dict[str, float]] = field(default_factory=dict)

    def size(self) -> float:
        """Return the size of the artifact in MB (10^6 bytes)."""
        files = self.artifact.rglob("*") if self.artifact.is_dir() else [self.artifact]
        return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Something that makes an artifact to compare with.

    Attributes:
        needs: Option that names its environment; empty: edgebuild's own.
        argv: Its command after the interpreter; ``{output}`` is its folder.
        made: The artifact below that folder.
    """

    name: str
    needs: str
    argv: Sequence[str]
    made: str
    runtime: str | None = None


def main() -> None:
    """Make every variant, score it, time all in turn, and print the table."""
    given = _parse()
    work = given.work.absolute()
    os.environ.update(EDGEBUILD_CACHE=str(work / "cache"), OMP_NUM_THREADS="1")
    if given.openvino:
        os.environ["OPENVINO_SITE"] = str(
            next((given.openvino / "lib").glob("python*/site-packages")).absolute()
        )
    manifest = derive(given.manifest, work, weights=given.weights)
    variants, common = ours(manifest, work)
    for peer in peers(common, weights=_weights(manifest), limit=given.limit):
        made = make(peer, given, work)
        variants += [made] if made else []
    for one in variants:
        one.metrics = one.metrics or score(one, common, work)
    for threads in given.threads:
        measure(variants, common, work, threads=threads, rounds=given.rounds)
    table(variants, given.threads)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument(
        "--work", type=Path, required=True, help="kept: a second start makes only what is missing"
    )
    parser.add_argument("--weights", type=Path, help="other weights for the manifest's data, .pt")
    parser.add_argument(
        "--openvino", type=Path, help="environment with openvino and nncf, of the same Python"
    )
    parser.add_argument("--olive", type=Path, help="environment with olive-ai and onnxruntime")
    parser.add_argument("--limit", type=float, default=900, help="seconds that one peer may take")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


def derive(manifest: Path, work: Path, *, weights: Path | None = None) -> Path:
    """Write a manifest with the same model, data and search, and our recipes as its targets."""
    document = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    base = manifest.absolute().parent
    document["model"]["weights"] = str(weights.absolute() if weights else base / document["model"]["weights"])
    document["dataset"]["data"] = str(base / document["dataset"]["data"])
    own = {"toolchain": "onnxruntime", "ship": False, "acceptance": "none"}
    searched = {
        name: {**target, **own}
        for name, target in (document.get("targets") or {}).items()
        if "mixed_precision" in ((target or {}).get("quantize") or {})
    }
    document["targets"] = {
        "float": {**own, "recipe": "fp32"},
        "naive": {**own, "recipe": "int8-naive"},
        "decode": {**own, "recipe": "int8", "quantize": {"keep_float": ["decode"]}},
        "default": {**own, "recipe": "int8"},
        **searched,
    }
    document["benchmark"] = {"runs": 5, "warmup": 1}
    kept = ("edgebuild", "name", "model", "dataset", "targets", "benchmark")
    place = work / "manifest.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({key: document[key] for key in kept}, sort_keys=False)
    place.write_text(text, encoding="utf-8")
    return place


def _weights(manifest: Path) -> str:
    return str(yaml.safe_load(manifest.read_text(encoding="utf-8"))["model"]["weights"])


def ours(manifest: Path, work: Path) -> tuple[list[Variant], Path]:
    """Build our own variants; return them and the folder of what the peers share with them."""
    command = edgebuild("run", str(manifest), "-j", "1", "--json")
    done = subprocess.run(
        command,
        cwd=work,
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    document = json.loads(done.stdout)
    times = _times(work, document)
    session = open_session(str(manifest))
    common = share(session, work)
    found = []
    for target in document["targets"]:
        needed = session.plan.target(target["name"]).actions
        parts = [name for name in needed if name.partition("@")[0] in QUANTIZING]
        quantized = target["name"] != "float"
        found.append(
            Variant(
                name=f"edgebuild {target['name']}" if quantized else "float (ONNX Runtime)",
                artifact=work / target["artifact"],
                seconds=sum(times.get(name, 0.0) for name in parts) if quantized else 0.0,
                metrics={row["name"]: row["value"] for row in target["metrics"]},
            )
        )
    return found, common


def _times(work: Path, document: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of every action when it last ran."""
    place = work / "seconds.json"
    times: dict[str, float] = json.loads(place.read_text()) if place.exists() else {}
    times |= {row["id"]: row["seconds"] for row in document["actions"] if row["outcome"] == "ran"}
    place.write_text(json.dumps(times, indent=1))
    return times


def share(session: Session, work: Path) -> Path:
    """Lay out what the peers need: float model, description, calibration tensors and images, validation."""
    common = work / "common"
    shutil.rmtree(common, ignore_errors=True)
    common.mkdir()
    context = session.context(Silence())
    found = forecast(session.plan.actions, context)
    for action, role, name in (
        ("export", "model", "model.onnx"),
        ("export", "info", "model.json"),
        ("calibrate", "tensors", "calibration.npy"),
        ("calibrate", "selection", "calibration.json"),
    ):
        result = found[action].result
        if result is None:
            raise RuntimeError(
                f"{action} has no result although it just ran: did the sources change meanwhile?"
            )
        shutil.copyfile(context.cache.store.blob(result.artifact(role).digest), common / name)
    _link_trees(session, common)
    return common


def _link_trees(session: Session, common: Path) -> None:
    """Link the validation split, the images that calibrate, and what names the classes."""
    plan, dataset = session.plan, session.manifest.dataset
    if dataset is None:
        raise ValueError("the manifest needs a dataset: without one there is nothing to measure")
    baseline = plan.action("baseline")
    (common / "dataset.json").write_text(dict(baseline.files)["dataset.json"])
    chosen = {row["file"] for row in json.loads((common / "calibration.json").read_text())["files"]}
    for name, split in (("validation", dataset.validation.split), ("chosen", dataset.calibration.split)):
        listed = dataset.splits[split]
        for file in (*listed.images, *listed.labels):
            if name == "validation" or file in chosen:
                place = common / name / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(listed.root / file)
    data = {"path": str(common), "train": "chosen", "val": "chosen", "names": dict(enumerate(dataset.names))}
    (common / "chosen.yaml").write_text(yaml.safe_dump(data))
    (common / "evaluate.json").write_text(json.dumps(_evaluation(baseline)))


def _evaluation(baseline: Action) -> list[str]:
    """Return the arguments of the validation step, without the artifact."""
    words = list(baseline.argv[3:])
    at = words.index("--artifact")
    return words[:at] + words[at + 2 :]


def peers(common: Path, *, weights: str, limit: float) -> Iterator[Peer]:
    """Yield every peer; ``limit`` is only told."""
    model, tensors = str(common / "model.onnx"), str(common / "calibration.npy")
    info = json.loads((common / "model.json").read_text())
    size = [str(side) for side in info["imgsz"]]
    shared = ["--model", model, "--tensors", tensors, "--output", "{output}"]
    validate = ["--validate", *(str(common / name) for name in ("model.json", "dataset.json", "validation"))]
    nncf = str(PEERS / "quantize_nncf.py")
    for mode, title in (
        ("f32", "float, OpenVINO f32"),
        ("bf16", "float, OpenVINO bf16"),
        ("default", "NNCF default"),
        ("mixed", "NNCF mixed preset"),
        ("accuracy", f"NNCF accuracy control (at most {limit:.0f} s)"),
    ):
        more = validate if mode == "accuracy" else []
        argv = [nncf, mode, *shared, *more]
        yield Peer(name=title, needs="openvino", argv=argv, made=".", runtime=RUNTIME)
    if weights.endswith(".pt"):
        export = [
            "--weights",
            weights,
            "--data",
            str(common / "chosen.yaml"),
            "--output",
            "{output}",
            "--imgsz",
            *size,
        ]
        program = str(PEERS / "quantize_ultralytics.py")
        yield Peer(name="Ultralytics INT8 ONNX", needs="", argv=[program, "onnx", *export], made="model.onnx")
        argv = [program, "openvino", *export]
        yield Peer(
            name="Ultralytics INT8 OpenVINO", needs="openvino", argv=argv, made="model", runtime=RUNTIME
        )
    argv = [str(PEERS / "quantize_olive.py"), *shared]
    yield Peer(name="Olive static quantization", needs="olive", argv=argv, made="model.onnx")


def make(peer: Peer, given: argparse.Namespace, work: Path) -> Variant | None:
    """Make a peer's artifact, unless it is there from an earlier start; say why there is none."""
    environment = getattr(given, peer.needs) if peer.needs else None
    if peer.needs and environment is None:
        return _left_out(peer, f"no --{peer.needs}")
    if "bf16" in peer.name and "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
        return _left_out(peer, "this processor has no bf16")
    output = work / "peers" / "-".join(peer.name.split()).replace(",", "").partition("-(")[0].lower()
    note = output / "seconds.txt"
    if not note.exists():
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        why = _start(peer, environment, output, given.limit)
        if why:
            return _left_out(peer, why)
    seconds = float(note.read_text())
    return Variant(name=peer.name, artifact=output / peer.made, runtime=peer.runtime, seconds=seconds)


def _start(peer: Peer, environment: Path | None, output: Path, limit: float) -> str:
    """Run a peer's program; return what went wrong, or nothing."""
    # OpenVINO's packages are added to edgebuild's own environment: accuracy control needs our validation.
    python = str(environment / "bin" / "python") if environment and peer.needs == "olive" else sys.executable
    argv = [python, *(word.replace("{output}", str(output)) for word in peer.argv)]
    log = output / "log.txt"
    env = {**os.environ, "PYTHONPATH": "" if peer.needs == "olive" else str(REPOSITORY)}
    started = time.perf_counter()
    with log.open("wb") as sink:
        try:
            done = subprocess.run(
                argv, cwd=output, stdout=sink, stderr=sink, timeout=limit, env=env, check=False
            )
        except subprocess.TimeoutExpired:
            return f"not finished after {limit:.0f} s"
    if done.returncode:
        said = log.read_text(errors="replace").strip().splitlines()
        return f"exit {done.returncode}: {said[-1] if said else ''} ({log})"
    (output / "seconds.txt").write_text(f"{time.perf_counter() - started:.1f}")
    return ""


def _left_out(peer: Peer, why: str) -> None:
    print(f"left out: {peer.name}: {why}", flush=True)


def score(variant: Variant, common: Path, work: Path) -> dict[str, float]:
    """Score an artifact with edgebuild's validation step."""
    folder = work / "scores" / "-".join(variant.name.split()).replace("/", "-")
    result = folder / "out" / "metrics.json"
    newest = max((p.stat().st_mtime for p in [variant.artifact, *variant.artifact.rglob("*")]), default=0)
    if not result.exists() or result.stat().st_mtime < newest:
        shutil.rmtree(folder, ignore_errors=True)
        for name, source in (
            ("in/validation", common / "validation"),
            ("in/info/model.json", common / "model.json"),
            ("aux/dataset.json", common / "dataset.json"),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(source)
        words = json.loads((common / "evaluate.json").read_text())
        argv = [sys.executable, "-m", "edgebuild.steps.evaluate", "--artifact", str(variant.artifact), *words]
        argv += ["--runtime", variant.runtime] if variant.runtime else []
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with (folder / "log.txt").open("wb") as sink:
            subprocess.run(argv, cwd=folder, env=env, stdout=sink, stderr=sink, check=True)
    return {row["name"]: row["value"] for row in json.loads(result.read_text())["metrics"]}


def measure(variants: Sequence[Variant], common: Path, work: Path, *, threads: int, rounds: int) -> None:
    """Time all variants in one process, in turn."""
    place = work / "variants.json"
    rows = {one.name: {"artifact": str(one.artifact), "runtime": one.runtime} for one in variants}
    place.write_text(json.dumps(rows))
    program = str(HERE / "quantization_latency.py")
    files = [str(place), str(common / "model.json"), str(common / "calibration.npy")]
    argv = [sys.executable, program, *files, "--threads", str(threads), "--rounds", str(rounds)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(argv, stdout=subprocess.PIPE, env=env, check=True)
    found = json.loads(done.stdout.decode().strip().splitlines()[-1])
    for one in variants:
        if one.name in found:
            one.latency[threads] = found[one.name]


def table(variants: Sequence[Variant], threads: Sequence[int]) -> None:
    """Print the table: the most accurate at the top after the float models."""
    base = variants[0]
    main_metric = next(name for name in ("map50_95", "top1") if name in base.metrics)
    second = "map50" if main_metric == "map50_95" else "top5"
    heads = ["variant", main_metric, "points", second]
    for count in threads:
        heads += [f"p50 / p90 ms, {count} thread{'s' if count > 1 else ''}", "speed-up", "by CPU time"]
    print(f"\n{machine()}\n")
    print("| " + " | ".join([*heads, "MB", "quantized in"]) + " |")
    print("|" + "---|" * (len(heads) + 2))
    for one in variants:
        value = one.metrics[main_metric]
        cells = [one.name, f"{value:.4f}", f"{(value - base.metrics[main_metric]) * 100:+.2f}"]
        cells.append(f"{one.metrics[second]:.4f}")
        for count in threads:
            cells += _speed(one.latency.get(count), base.latency[count])
        cells += [f"{one.size():.1f}", f"{one.seconds:.0f} s" if one.seconds else ""]
        print("| " + " | ".join(cells) + " |")


def _speed(found: dict[str, float] | None, base: dict[str, float]) -> list[str]:
    if found is None:
        return ["", "", ""]
    times = f"{found['p50']:.1f} / {found['p90']:.1f}"
    return [times, *(f"{base[name] / found[name]:.2f}" for name in ("p50", "cpu"))]


if __name__ == "__main__":
    main()
