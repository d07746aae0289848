"""Whole chains for chips whose compilers are not to be had: cut heads, layers named late, starter code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.e2e.fake_vendors import built_with_fakes, fakes_of, to_change
from tests.fakes.install import install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

TARGETS = """\
targets:
  axera: {toolchain: axera, options: {target_hardware: AX650, npu_mode: NPU3}}
  axera-qdq: {toolchain: axera, recipe: qdq}
  metis: {toolchain: axelera, options: {board: m2}}
  sophgo: {toolchain: sophgo, options: {verify: true, float_type: F16}}
  mlu370: {toolchain: cambricon, recipe: magicmind-int8}
package: {version: 3.0.0}
"""

STUBS = {
    "axengine.py": """
import os, onnxruntime
def InferenceSession(path):
    assert os.path.basename(path) == "model.axmodel"
    return onnxruntime.InferenceSession(os.environ["STANDS_IN"])
""",
    "sophon/sail.py": """
import os, onnxruntime
class IOMode:
    SYSIO = 0
class Engine:
    def __init__(self, path, device, mode):
        assert os.path.basename(path) == "model.bmodel"
        self.session = onnxruntime.InferenceSession(os.environ["STANDS_IN"])
    def get_graph_names(self):
        return ["model"]
    def get_input_names(self, graph):
        return ["images"]
    def process(self, graph, inputs):
        names = [item.name for item in self.session.get_outputs()]
        found = zip(names, self.session.run(None, inputs))
        return {name + "_Conv": value for name, value in reversed(list(found))}
""",
}
"""The vendors' runtimes, as far as starter code calls them, over the ONNX that was compiled."""


@pytest.fixture(scope="module")
def chips(master: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace built with the fakes; only for copying and reading."""
    workspace, _ = built_with_fakes(master, tmp_path_factory.mktemp("chips"), TARGETS)
    return workspace


@pytest.fixture
def changed(chips: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """The same, to change."""
    with to_change(chips, tmp_path) as copied:
        yield copied


def _unpacked(w: Workspace, target: str, into: Path) -> Path:
    with tarfile.open(w.folder / f"dist/shelf/shelf-{target}-3.0.0.tar.gz") as archive:
        archive.extractall(into / target, filter="data")
    return into / target


@pytest.mark.parametrize(
    ("target", "artifact"),
    [
        ("axera", "model.axmodel"),
        ("axera-qdq", "model.axmodel"),
        ("metis", "compiled_model/model.json"),
        ("sophgo", "model.bmodel"),
        ("mlu370", "model.mm"),
    ],
)
def test_a_package_holds_the_artifact_and_a_program_to_start_from(
    chips: Workspace, tmp_path: Path, target: str, artifact: str
) -> None:
    package = _unpacked(chips, target, tmp_path)
    assert b"written by a fake" in (package / "artifact" / artifact).read_bytes()
    assert json.loads((package / "metrics.json").read_text(encoding="utf-8"))["evidence"] == "proxy"
    for name in ("run.py", "device.py", "shapes.py"):
        compile((package / name).read_text(encoding="utf-8"), name, "exec")
    assert (package / "decode.py").is_file() is (target != "mlu370")
    assert "python3 run.py IMAGE" in (package / "README.md").read_text(encoding="utf-8")


def test_layers_that_stay_float_reach_the_vendors_files_by_name(chips: Workspace, tmp_path: Path) -> None:
    facts = json.loads((_unpacked(chips, "axera", tmp_path) / "artifact/model.axmodel").read_text("utf-8"))
    (layers,) = facts["settings"]["quant"]["layer_configs"]
    assert len(layers["layer_names"]) == 6  # two convolutions for each of three scales
    assert all("/cv2." in name or "/cv3." in name for name in layers["layer_names"])
    assert layers["data_type"] == "U16"


def test_a_board_is_reported_with_what_to_mind(chips: Workspace) -> None:
    said = (chips.folder / "build/shelf/findings.sarif").read_text(encoding="utf-8")
    assert "m2-power" in said
    assert "the M.2 module has no power limiter" in said


@pytest.mark.parametrize("target", ["axera", "sophgo"])
def test_the_starter_program_sees_what_the_compiled_model_sees(
    chips: Workspace, tmp_path: Path, target: str
) -> None:
    package = _unpacked(chips, target, tmp_path)
    for name, text in STUBS.items():
        path = tmp_path / "stubs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    compiled = next(path for path in chips.cache.rglob("blobs/*/*") if _is_cut(path))
    shutil.copy(compiled, tmp_path / "cut.onnx")
    image = min((chips.folder / "data/images/val").iterdir())
    done = subprocess.run(
        [sys.executable, "run.py", str(image), "--confidence", "0.001"],
        cwd=package,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tmp_path / "stubs"),
            "STANDS_IN": str(tmp_path / "cut.onnx"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert found
    assert {entry["label"] for entry in found} <= {"bolt", "nut"}
    assert [entry["score"] for entry in found] == sorted((e["score"] for e in found), reverse=True)


def _is_cut(path: Path) -> bool:
    data = path.read_bytes()
    return data[:1] == b"\x08" and b"score_8" in data and b"QuantizeLinear" not in data


@pytest.mark.parametrize(
    ("action", "tool", "mode", "words"),
    [
        (
            "axera/compile",
            "pulsar2",
            "fail",
            ("ErrorCode.QuantError: 3", "calibration data of another shape"),
        ),
        ("axera/compile", "pulsar2", "no-output", ("'model.axmodel' was not made",)),
        ("metis/compile", "axcompile", "no-output", ("'axelera/compiled_model' was not made",)),
        ("metis/compile", "axcompile", "garbage", ("holds no manifest.json: the tool did not finish",)),
        (
            "metis/compile",
            "axcompile",
            "fail",
            ("'axelera/compiled_model' was not made", "resources_used 1.0"),
        ),
        ("sophgo/deploy", "model_deploy.py", "fail", ("npz_tool.py compare", "options.tolerance")),
        ("sophgo/deploy", "model_deploy.py", "garbage", ("starts with", "eeaa55ff")),
        ("sophgo/transform", "model_transform.py", "no-output", ("'mlir' is a directory without files",)),
        ("mlu370/magicmind_int8", "gen_model.py", "garbage", ("'model.mm' is empty",)),
    ],
)
def test_what_goes_wrong_in_the_tool_is_explained(
    changed: Workspace, action: str, tool: str, mode: str, words: tuple[str, ...]
) -> None:
    install(fakes_of(changed), {tool: mode})
    ran = changed.run(action, "--force")
    assert ran.code == 3
    assert ran.action(action)["outcome"] == "failed"
    for word in words:
        assert word in ran.done.err


def test_the_commands_of_every_tool_can_be_pasted(chips: Workspace) -> None:
    text = chips.eb("commands", "manifest.yaml").out
    assert "pulsar2 build --target_hardware AX650 --input build/shelf/" in text
    assert "axcompile -i build/shelf/" in text
    assert "-- model_deploy.py --mlir model.mlir --quantize INT8" in text
    assert "gen_model.py --onnx build/shelf/export/model.onnx" in text
