"""Whole chains through vendors' command lines, with strict fakes in place of the vendors' tools."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.fake_vendors import built_with_fakes, fakes_of, to_change
from tests.fakes.install import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

TARGETS = """\
targets:
  npu-fp16: {toolchain: ascend, options: {soc_version: Ascend310P3, output_type: FP32}}
  npu-int8: {toolchain: ascend, recipe: int8, options: {soc_version: Ascend310P3, skip_layers: [/head/conv]}}
  mlu: {toolchain: cambricon, recipe: cncc, options: {arch: mlu270}}
  mlu-genoff: {toolchain: cambricon, recipe: genoff, options: {network: yolov5, core_number: 1}}
  hailo: {toolchain: hailo, options: {hw_arch: hailo8l, optimization_level: 2}}
  jetson: {toolchain: tensorrt, recipe: int8}
  htp: {toolchain: qualcomm, options: {dsp_arch: v68, act_bitwidth: 16}}
package: {version: 2.0.0}
"""


@pytest.fixture(scope="module")
def vendors(master: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with four targets of two vendors, built with the fakes; only for copying and reading."""
    workspace, ran = built_with_fakes(master, tmp_path_factory.mktemp("vendors"), TARGETS)
    # Both vendors join the chain that the other targets have already built.
    assert not {"export", "calibrate", "baseline", "preprocess", "ranges", "quantize"} & ran.ran
    return workspace


@pytest.fixture
def changed(vendors: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """The same, to change."""
    with to_change(vendors, tmp_path) as copied:
        yield copied


def _package(w: Workspace, target: str) -> dict[str, bytes]:
    with tarfile.open(w.folder / f"dist/shelf/shelf-{target}-2.0.0.tar.gz") as archive:
        return {m.name: _read(archive, m) for m in archive.getmembers()}


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()


@pytest.mark.parametrize(
    ("target", "artifact", "start"),
    [
        ("npu-fp16", "artifact/model.om", b"IMOD"),
        ("npu-int8", "artifact/model.om", b"IMOD"),
        ("mlu", "artifact/model.cambricon", b"{"),
        ("mlu-genoff", "artifact/model.cambricon", b"{"),
        ("hailo", "artifact/model.hef", b"\x01HEF"),
        ("jetson", "artifact/model.engine", b"{"),
        ("htp", "artifact/model.bin", b"{"),
    ],
)
def test_a_package_holds_what_the_vendors_tool_wrote_and_says_what_was_measured(
    vendors: Workspace, target: str, artifact: str, start: bytes
) -> None:
    members = _package(vendors, target)
    assert members[artifact].startswith(start)
    assert b"written by a fake" in members[artifact]
    metrics = json.loads(members["metrics.json"])
    assert metrics["evidence"] == "proxy"
    found = {row["name"]: row["evidence"] for row in metrics["metrics"]}
    assert found["map50_95"] == "proxy"
    assert found["size_mb"] == "host"  # the bytes themselves are counted
    assert "latency_ms_p50" not in found


def test_a_package_says_which_tools_and_commands_made_it(vendors: Workspace) -> None:
    members = _package(vendors, "npu-int8")
    tools = json.loads(members["tools.json"])
    assert "8.0.0" in tools["ascend/atc"]
    assert "0.23.2" in tools["ascend/amct_onnx"]
    recipe = json.loads(members["recipe.json"])
    commands = recipe["commands"]
    assert commands["npu-int8/amct"][:2] == ["amct_onnx", "calibration"]
    assert "--soc_version=Ascend310P3" in commands["npu-int8/compile"]
    assert not any("force_int8" in word for command in commands.values() for word in command)
    rendered = [text for files in recipe["files"].values() for text in files.values()]
    assert any("skip_layers" in text for text in rendered)
    assert str(vendors.folder.parent) not in "".join(m.decode("utf-8", "replace") for m in members.values())


def test_int8_for_ascend_is_calibrated_by_the_vendors_own_tool(vendors: Workspace) -> None:
    rows = _rows(vendors.eb("plan", "manifest.yaml", "--json").json())
    assert "calibration@raw-float32" in rows["npu-int8/amct"]["needs"]
    assert rows["npu-int8/compile"]["needs"] == ["npu-int8/amct"]
    assert rows["npu-fp16/compile"]["needs"] == ["export"]
    for name, row in rows.items():  # no QDQ model ever reaches ATC
        if name.startswith("npu-"):
            assert not any(need.startswith("quantize") for need in row["needs"])


def test_a_version_of_the_vendors_tool_reaches_its_own_targets_only(changed: Workspace) -> None:
    install(fakes_of(changed), cann="8.5.0")
    ran = changed.run()
    assert {name for name in ran.ran if "/compile" in name} == {"npu-fp16/compile", "npu-int8/compile"}
    assert not {name for name in ran.ran if name.startswith("mlu") or name == "npu-int8/amct"}


@pytest.mark.parametrize(
    ("action", "tool", "mode", "words"),
    [
        ("npu-fp16/compile", "atc", "fail", ("EZ3003", "check soc_version")),
        ("npu-fp16/compile", "atc", "garbage", ("starts with", "494d4f44")),
        ("npu-int8/amct", "amct_onnx", "no-output", ("'model_deploy_model.onnx' was not made",)),
        ("mlu/cncc", "cncc", "c-compiler", ("unknown argument", "compiles BANG C")),
        ("mlu-genoff/genoff", "genoff.py", "fail", ("CNML_STATUS_INVALIDARG",)),
        ("hailo/parse", "hailo", "fail", ("recommendations for end node names", "end_node_names")),
        ("hailo/compile", "hailo", "garbage", ("starts with", "01484546")),
        ("jetson/compile", "trtexec", "fail", ("Failed to parse onnx file", "export.opset")),
        ("htp/context", "qnn-context-binary-generator", "fail", ("estimated allocation", "smaller model")),
        ("htp/quantizer", "qairt-quantizer", "no-output", ("'model_quantized.dlc' was not made",)),
    ],
)
def test_what_the_vendors_tool_says_is_explained(
    changed: Workspace, action: str, tool: str, mode: str, words: tuple[str, ...]
) -> None:
    install(fakes_of(changed), {tool: mode})
    ran = changed.run(action, "--force")
    assert ran.code == 3
    row = ran.action(action)
    assert row["outcome"] == "failed"
    assert row["log"] == f".edgebuild/shelf/logs/{action.replace('/', '.')}.log"
    for word in words:
        assert word in ran.done.err
    install(fakes_of(changed))
    again = changed.run()
    assert (again.code, again.ran) == (0, set())


def test_another_unlike_option_is_refused_before_the_tool_sees_it(changed: Workspace) -> None:
    done = changed.eb("run", "manifest.yaml", "--set", "targets.npu-int8.options.precision_mode=force_fp32")
    assert done.code == 2
    assert "'force_fp32' does not go with recipe 'int8'" in done.err
    done = changed.eb("run", "manifest.yaml", "--set", "targets.npu-fp16.options.soc_version=Ascend310P")
    assert done.code == 2
    assert "npu-smi info" in done.err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("hailo", "hailo compiler: error: unrecognized arguments: --bogus"),
        ("jetson", "Unknown option: --bogus"),
        ("htp", "qnn-context-binary-generator: error: unrecognized arguments: --bogus"),
    ],
)
def test_a_wrong_flag_is_caught(changed: Workspace, target: str, words: str) -> None:
    ran = changed.run(target, "--set", f"targets.{target}.options.extra_args=[--bogus]")
    assert ran.code == 3
    assert words in ran.done.err


def test_a_newer_trtexec_is_given_other_arguments(changed: Workspace) -> None:
    install(fakes_of(changed), trtexec="11.4.1")
    ran = changed.run()
    assert {name for name in ran.ran if "/" in name} >= {"jetson/compile"}
    assert not {name for name in ran.ran if name.startswith(("hailo", "htp", "npu"))}
    recipe = json.loads(_package(changed, "jetson")["recipe.json"])
    assert not {"--int8", "--fp16"} & set(recipe["commands"]["jetson/compile"])
    assert "11.4.1" in json.loads(_package(changed, "jetson")["tools.json"])["tensorrt/trtexec"]


def test_a_finding_that_the_manifest_does_not_allow_rejects_the_target(changed: Workspace) -> None:
    ran = changed.run("--set", "targets.hailo.findings={optimization-lowered: error}")
    assert ran.code == 4
    assert {name for name in ran.ran if "/" in name} == {"hailo/verdict", "hailo/package"}
    (row,) = [one for one in ran.target("hailo")["verdicts"] if one["metric"].startswith("findings/")]
    assert row["status"] == "missed"
    assert row["text"].startswith("hailo/optimize: [warning] Reducing optimization level to 0")
    assert b"optimization-lowered" in _package(changed, "hailo")["REJECTED"]
    sarif = json.loads((changed.folder / "build/shelf/findings.sarif").read_text(encoding="utf-8"))
    levels = {one["ruleId"]: one["level"] for one in sarif["runs"][0]["results"]}
    assert levels["optimization-lowered"] == "error"
    alone = changed.eb("run", "manifest.yaml", "hailo/optimize", "-f")
    assert "optimization-lowered (hailo/optimize): [warning] Reducing optimization level to 0" in alone.out
    allowed = changed.run("--set", "targets.hailo.findings={optimization-lowered: ignore}")
    assert allowed.code == 0
    assert "optimization-lowered" not in (changed.folder / "build/shelf/findings.sarif").read_text("utf-8")
    unknown = changed.eb("run", "manifest.yaml", "--set", "findings={optimisation-lowered: error}")
    assert unknown.code == 2
    assert "did you mean 'optimization-lowered'?" in unknown.err


def test_the_commands_of_a_vendor_can_be_pasted(vendors: Workspace) -> None:
    text = vendors.eb("commands", "manifest.yaml", "npu-fp16/compile").out
    assert "atc --framework=5 --model=build/shelf/export/model.onnx" in text
    assert "--output=build/shelf/npu-fp16/compile/model " in text


def _rows(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in plan["actions"]}
