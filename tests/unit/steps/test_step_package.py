from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.package import verify_package
from edgebuild.steps.package import labels, rejected_text, volatile

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    RunStep = Callable[..., subprocess.CompletedProcess[str]]

NAME = "demo-board-1.0"
SPEC = {
    "schema": 1,
    "edgebuild": "0.9",
    "name": "demo",
    "target": "board",
    "version": "1.0",
    "toolchain": "acme",
    "recipe": "int8",
    "options": {"level": 3},
    "quantize": {"method": "minmax"},
    "commands": [{"step": "compile", "argv": ["acme", "compile"]}],
}
INFO = {
    "schema": 1,
    "task": "detect",
    "names": ["hex bolt", "nut"],
    "imgsz": [64, 96],
    "input": {
        "name": "images",
        "shape": [1, 3, 64, 96],
        "channels": "RGB",
        "letterbox": {"pad": 114, "center": True},
    },
    "outputs": [{"name": "output0", "shape": [1, 6, 126], "layout": "[batch, 4+classes, anchors]"}],
}


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def verdict(latency: float = 20.5, status: str = "passed") -> dict[str, Any]:
    def row(metric: str, kind: str, limit: float, value: float, text: str) -> dict[str, Any]:
        return {
            "metric": metric,
            "kind": kind,
            "limit": limit,
            "evidence": None,
            "status": "passed" if status == "passed" else "missed",
            "value": value,
            "baseline": None,
            "text": text,
        }

    def metric(name: str, value: float, unit: str) -> dict[str, Any]:
        return {"name": name, "value": value, "unit": unit, "evidence": "host"}

    return {
        "schema": 1,
        "status": status,
        "metrics": [
            metric("map50_95", 0.5, ""),
            metric("latency_ms_p50", latency, "ms"),
            metric("load_ms", latency / 2, "ms"),
            metric("size_mb", 1.25, "MB"),
        ],
        "verdicts": [
            row("map50_95", "min", 0.4, 0.5, "0.5 (at least 0.4)"),
            row("latency_ms_p50", "max", 40, latency, f"{latency} ms (at most 40)"),
        ],
        "benchmark": {"evidence": "host", "machine": {"cpu": "some cpu"}},
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write(tmp_path / "aux/package.json", SPEC)
    write(tmp_path / "aux/tools.json", {"acme/compiler": "1.2"})
    (tmp_path / "in/artifact").mkdir(parents=True)
    (tmp_path / "in/artifact/model.blob").write_bytes(bytes(range(200)) * 30)
    write(tmp_path / "in/info/model.json", INFO)
    (tmp_path / "in/weights").mkdir()
    (tmp_path / "in/weights/weights.pt").write_bytes(b"trained")
    write(
        tmp_path / "in/metrics/metrics.json",
        {"schema": 1, "evidence": "host", "protocol": {"images": 3}, "metrics": []},
    )
    write(tmp_path / "in/verdict/verdict.json", verdict())
    return tmp_path


def pack(run_step: RunStep, folder: Path, *more: object, **variables: str) -> Path:
    result = run_step(
        "package", "--spec", "aux/package.json", "--tools", "aux/tools.json",
        "--artifact", "in/artifact/model.blob", "--info", "in/info/model.json",
        "--weights", "in/weights/weights.pt",
        "--metrics", "in/metrics/metrics.json", "--verdict", "in/verdict/verdict.json",
        "--output", f"out/{NAME}.tar.gz", *more, cwd=folder, **variables,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder / f"out/{NAME}.tar.gz"


def member(package: Path, name: str) -> str:
    with tarfile.open(package) as archive:
        stream = archive.extractfile(name)
        assert stream is not None
        return stream.read().decode()


def test_the_package_verifies_and_says_what_it_is(workspace: Path, run_step: RunStep) -> None:
    found = verify_package(pack(run_step, workspace))
    assert (found.name, found.target, found.version) == ("demo", "board", "1.0")
    assert (found.toolchain, found.recipe, found.status) == ("acme", "int8", "passed")
    assert [entry.path for entry in found.files] == [
        "README.md", "artifact/model.blob", "labels.txt", "metrics.json", "model.json", "recipe.json",
        "tools.json", "verdicts.json",
    ]  # fmt: skip
    assert found.documents["recipe.json"]["commands"] == SPEC["commands"]
    assert found.documents["model.json"] == INFO


def test_it_says_what_it_was_made_of(workspace: Path, run_step: RunStep) -> None:
    write(workspace / "in/info/model.json", INFO | {"license": "AGPL-3.0 License"})
    package = pack(run_step, workspace)
    recipe = verify_package(package).documents["recipe.json"]
    digest = hashlib.sha256(b"trained").hexdigest()
    assert recipe["sources"] == {"weights": {"name": "weights.pt", "sha256": digest}}
    assert (recipe["edgebuild"], recipe["license"]) == ("0.9", "AGPL-3.0 License")
    text = member(package, "README.md")
    assert "edgebuild 0.9 with toolchain acme" in text
    assert digest in text
    assert "metadata says: AGPL-3.0 License\n" in text


def test_a_license_is_said_only_where_the_model_says_one(workspace: Path, run_step: RunStep) -> None:
    package = pack(run_step, workspace)
    assert "license" not in verify_package(package).documents["recipe.json"]
    assert "license" not in member(package, "README.md")


def test_a_toolchain_adds_files_and_a_program_brings_what_it_imports(
    workspace: Path, run_step: RunStep
) -> None:
    (workspace / "aux/files/conf").mkdir(parents=True)
    (workspace / "aux/files/conf/a.json").write_text("{}", encoding="utf-8")
    plain = pack(run_step, workspace, "--files", "aux/files")
    assert member(plain, "conf/a.json") == "{}"
    assert "device.py" not in [entry.path for entry in verify_package(plain).files]
    (workspace / "aux/files/run.py").write_text("from device import main\n", encoding="utf-8")
    package = pack(run_step, workspace, "--files", "aux/files")
    assert member(package, "run.py") == "from device import main\n"
    assert "def main(load" in member(package, "device.py")
    assert "def suppress(" in member(package, "shapes.py")
    assert "python3 run.py IMAGE" in member(package, "README.md")


def test_a_toolchain_cannot_replace_what_every_package_holds(workspace: Path, run_step: RunStep) -> None:
    write(workspace / "aux/files/model.json", {})
    result = run_step(
        "package", "--spec", "aux/package.json", "--tools", "aux/tools.json",
        "--artifact", "in/artifact/model.blob", "--info", "in/info/model.json",
        "--weights", "in/weights/weights.pt",
        "--verdict", "in/verdict/verdict.json", "--files", "aux/files", "--output", "out/a.tar.gz",
        cwd=workspace,
    )  # fmt: skip
    assert result.returncode == 3
    assert "model.json: every package has a file of that name" in result.stderr


def test_labels_are_one_per_line(workspace: Path, run_step: RunStep) -> None:
    assert member(pack(run_step, workspace), "labels.txt") == "hex bolt\nnut\n"


def test_measured_values_lie_beside_the_package(workspace: Path, run_step: RunStep) -> None:
    package = pack(run_step, workspace)
    documents = verify_package(package).documents
    assert [row["name"] for row in documents["metrics.json"]["metrics"]] == ["map50_95", "size_mb"]
    latency = documents["verdicts.json"]["verdicts"][1]
    assert (latency["status"], latency["limit"]) == ("passed", 40)
    assert (latency["value"], latency["text"]) == (None, "")
    beside = json.loads((workspace / f"out/{NAME}.measurements.json").read_text())
    assert [row["name"] for row in beside["metrics"]] == ["latency_ms_p50", "load_ms"]
    assert beside["verdicts"][0]["value"] == 20.5
    assert beside["benchmark"]["machine"] == {"cpu": "some cpu"}
    assert beside["sha256"] == verify_package(package).digest.removeprefix("sha256:")


def test_the_measurements_can_be_put_elsewhere(workspace: Path, run_step: RunStep) -> None:
    pack(run_step, workspace, "--measurements", "out/other.json")
    assert sorted(path.name for path in (workspace / "out").iterdir()) == [f"{NAME}.tar.gz", "other.json"]


def test_another_measurement_gives_the_same_bytes(workspace: Path, run_step: RunStep) -> None:
    first = pack(run_step, workspace).read_bytes()
    write(workspace / "in/verdict/verdict.json", verdict(latency=31.7))
    assert pack(run_step, workspace).read_bytes() == first


def test_rebuilding_anywhere_gives_the_same_bytes(workspace: Path, tmp_path: Path, run_step: RunStep) -> None:
    first = pack(run_step, workspace, PYTHONHASHSEED="1", TZ="UTC").read_bytes()
    other = tmp_path / "deep" / "elsewhere"
    for folder in ("aux", "in"):
        shutil.copytree(workspace / folder, other / folder, copy_function=shutil.copyfile)
    for path in other.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (other / "in/artifact/model.blob").chmod(0o755)
    before = os.umask(0o077)
    try:
        again = pack(run_step, other, PYTHONHASHSEED="2", TZ="Asia/Kathmandu", LC_ALL="C", USER="someone")
    finally:
        os.umask(before)
    assert again.read_bytes() == first


def test_a_rejected_package_is_marked(workspace: Path, run_step: RunStep) -> None:
    write(workspace / "in/verdict/verdict.json", verdict(status="rejected"))
    package = pack(run_step, workspace)
    assert verify_package(package).status == "rejected"
    marker = member(package, "REJECTED")
    assert "map50_95 min 0.4: missed: 0.5 (at least 0.4)" in marker
    assert marker.rstrip().endswith("latency_ms_p50 max 40: missed")
    assert "Do not ship" in member(package, "README.md")


@pytest.mark.yolo
def test_what_a_cut_head_leaves_to_do_goes_along(workspace: Path, run_step: RunStep) -> None:
    package = pack(run_step, workspace)
    assert "decode.py" not in {entry.path for entry in verify_package(package).files}
    write(workspace / "in/info/model.json", INFO | {"head": {"kind": "cut"}})
    package = pack(run_step, workspace)
    assert "`decode.py`" in member(package, "README.md")
    assert "def decode(" in member(package, "decode.py")


def test_the_optional_documents_come_along(workspace: Path, run_step: RunStep) -> None:
    write(workspace / "in/calibration/calibration.json", {"images": 4})
    write(workspace / "in/quantize/quantize.json", {"nodes": 9})
    (workspace / "in/golden.npz").write_bytes(b"arrays")
    package = pack(
        run_step, workspace, "--golden", "in/golden.npz", "--calibration",
        "in/calibration/calibration.json", "--quantize", "in/quantize/quantize.json",
    )  # fmt: skip
    names = {entry.path for entry in verify_package(package).files}
    assert {"golden.npz", "calibration.json", "quantize.json"} <= names
    assert "`golden.npz`" in member(package, "README.md")


def test_a_folder_is_an_artifact_too(workspace: Path, run_step: RunStep) -> None:
    folder = workspace / "in/artifact/net"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.param").write_text("1")
    (folder / "sub" / "a.bin").write_text("2")
    found = verify_package(pack(run_step, workspace, "--artifact", "in/artifact/net"))
    assert found.artifact == "artifact/net"
    assert [e.path for e in found.files if e.path.startswith("artifact/")] == [
        "artifact/net/a.param", "artifact/net/sub/a.bin",
    ]  # fmt: skip


def test_the_readme_tells_how_to_feed_it(workspace: Path, run_step: RunStep) -> None:
    text = member(pack(run_step, workspace), "README.md")
    assert text.startswith("# demo 1.0 for board\n")
    assert "`artifact/model.blob` with the runtime of acme" in text
    assert "input `images`: 1 x 3 x 64 x 96, RGB" in text
    assert "made to fit 96 x 64" in text
    # What Ultralytics' validation does with a model that is not square, and so the metrics in the package.
    assert (
        "until its long side is 96, the other one rounded up; then once more, down to what fits 96 x 64"
        in text
    )
    assert "`.measurements.json` beside it" in text


def test_the_readme_says_how_many_images_an_inference_takes(workspace: Path, run_step: RunStep) -> None:
    assert "one inference takes" not in member(pack(run_step, workspace), "README.md")
    write(workspace / "in/info/model.json", INFO | {"batch": 4})
    assert "one inference takes 4 images" in member(pack(run_step, workspace), "README.md")


def test_the_readme_shows_code_for_an_onnx_file(workspace: Path, run_step: RunStep) -> None:
    (workspace / "in/artifact/m.onnx").write_bytes(b"x")
    text = member(pack(run_step, workspace, "--artifact", "in/artifact/m.onnx"), "README.md")
    assert 'InferenceSession("artifact/m.onnx")' in text


def test_a_toolchain_may_bring_its_own_instructions(workspace: Path, run_step: RunStep) -> None:
    write(workspace / "aux/package.json", SPEC | {"readme": "Copy it to the board and run `acme-run`."})
    assert "run `acme-run`" in member(pack(run_step, workspace), "README.md")


@pytest.mark.parametrize(
    ("file", "document", "expected"),
    [
        ("aux/package.json", {"name": "demo"}, "target, version, toolchain, recipe, edgebuild missing"),
        ("in/verdict/verdict.json", {"schema": 9}, "another version"),
    ],
)
def test_a_wrong_document_fails_in_one_line(
    workspace: Path, run_step: RunStep, file: str, document: Any, expected: str
) -> None:
    write(workspace / file, document)
    with pytest.raises(AssertionError, match=expected):
        pack(run_step, workspace)


def test_an_empty_artifact_folder_fails(workspace: Path, run_step: RunStep) -> None:
    (workspace / "in/artifact/empty").mkdir()
    with pytest.raises(AssertionError, match="left nothing to ship"):
        pack(run_step, workspace, "--artifact", "in/artifact/empty")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("map50_95", False), ("map50_95/nut", False), ("size_mb", False), ("latency_ms_p99", True),
     ("peak_memory_mb", True), ("load_ms", True)],
)  # fmt: skip
def test_what_varies_is_known(name: str, expected: bool) -> None:  # noqa: FBT001 - a table column
    assert volatile(name) is expected


def test_labels_come_from_lists_and_mappings_and_stay_on_one_line() -> None:
    assert labels({"names": {"10": "k", "9": "j"}}) == ["j", "k"]
    assert labels({"names": ["a\nb", "c"]}) == ["a b", "c"]


def test_the_marker_lists_only_what_did_not_hold() -> None:
    rows = verdict(status="rejected")["verdicts"]
    rows[0]["status"] = "passed"
    assert "map50_95" not in rejected_text(rows)
