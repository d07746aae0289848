"""Steps that fail: exit code, message, what goes on, and that nothing which was done before is lost."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Ran, Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

EVERYTHING = 22
"""Actions of the workspace."""


def _nothing_is_lost(w: Workspace) -> None:
    """What was built before the failure is still there, and still current."""
    ran = w.run()
    assert ran.code == 0, ran.done.err
    assert len(ran.ids("current")) == EVERYTHING


def _failed(ran: Ran, action: str, *words: str) -> None:
    row = ran.action(action)
    assert row["outcome"] == "failed"
    assert "Traceback" not in ran.done.err
    for word in words:
        assert word in row["message"]
        assert word in ran.done.err


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        (
            "fail",
            3,
            ("chip/compile: shellyc --model", "exit code 1", "E42 the tests asked", "E42 means that"),
        ),
        ("killed", 3, ("chip/compile", "killed by SIGKILL", "memory")),
        ("no-output", 3, ("chip/compile: exited 0, but its output 'model.shelly' was not made",)),
        ("garbage", 3, ("chip/compile: exited 0", "starts with 6f6f7073, not with 5348454c")),
        ("silent", 3, ("chip/compile: exited 0", "no line matching 'compiled'")),
        ("hang", 7, ("chip/compile: killed after its limit of 2 s", "raise `timeout:`")),
    ],
)
def test_a_vendor_tool_that_misbehaves(
    built: Workspace, mode: str, code: int, words: tuple[str, ...]
) -> None:
    built.tool_mode(mode)
    change = ("--set", "targets.chip.options.level=5", "--set", "targets.chip.timeout=2")
    ran = built.run(*change)
    assert ran.code == code
    _failed(ran, "chip/compile", *words, "log: .edgebuild/shelf/logs/chip.compile.log")
    assert ran.target("chip")["status"] == "failed"
    assert ran.target("chip")["package"] is None
    packages = {path.name for path in (built.folder / "dist/shelf").glob("*.tar.gz")}
    assert packages == {"shelf-fp32-1.0.0.tar.gz", "shelf-int8-1.0.0.tar.gz"}
    assert not built.processes()
    _nothing_is_lost(built)
    built.tool_mode("ok")
    assert built.run(*change).ran == {"chip/compile", "chip/package"}


def test_keep_going_builds_what_does_not_depend_on_the_failure(built: Workspace) -> None:
    built.tool_mode("fail")
    change = ("--set", "targets.chip.options.level=5", "--set", "package.version=2.0.0", "-j", "1")
    ran = built.run(*change, "-k")
    assert ran.code == 3
    assert ran.ran == {"fp32/package", "int8/package"}
    assert ran.ids("skipped") == {"chip/verdict", "chip/package"}
    assert "it needs chip/compile, which failed" in ran.action("chip/verdict")["message"]
    assert [ran.target(name)["status"] for name in ("fp32", "int8", "chip")] == ["passed", "passed", "failed"]


def test_a_missed_gate_leaves_report_and_package_marked_rejected(built: Workspace) -> None:
    ran = built.run("--set", "targets.int8.acceptance.map50_95.min=0.9")
    assert ran.code == 4
    assert ran.ran == {"int8/verdict", "int8/package"}
    target = ran.target("int8")
    assert target["status"] == "rejected"
    assert {v["status"] for v in target["verdicts"]} == {"passed", "missed"}
    assert ran.target("fp32")["status"] == "passed"
    assert "rejected" in (built.folder / "build/shelf/report.md").read_text(encoding="utf-8")
    verified = built.eb("verify", target["package"], "--no-replay")
    assert "gates: rejected" in verified.out
    assert built.run("--set", "targets.int8.acceptance.map50_95.min=0.9").code == 4  # and stays so
    assert not built.run().ran


def test_a_verdict_counts_alone_and_the_report_keeps_the_other_targets(built: Workspace) -> None:
    ran = built.run("int8/verdict", "--set", "targets.int8.acceptance.map50_95.min=0.9")
    assert ran.code == ran.document["exit_code"] == 4
    assert [(row["name"], row["status"], row["package"]) for row in ran.document["targets"]] == [
        ("int8", "rejected", None)
    ]
    report = json.loads((built.folder / "build/shelf/report.json").read_text(encoding="utf-8"))
    assert {row["name"]: (row["status"], row["message"]) for row in report["targets"]} == {
        "fp32": ("passed", "of an earlier run"),
        "int8": ("rejected", ""),
        "chip": ("passed", "of an earlier run"),
    }
    assert built.run("package").code == 0


def test_a_gate_on_the_size_against_the_float_model(built: Workspace) -> None:
    ran = built.run("--set", "targets.int8.acceptance.size_mb.max_ratio=0.6")
    assert ran.code == 0, ran.done.err
    assert ran.ran == {"int8/verdict", "int8/package"}


def test_skip_unavailable_builds_the_rest_and_reports_skipped(built: Workspace) -> None:
    (built.tools / "shellyc").unlink()
    ran = built.run("--skip-unavailable")
    assert ran.code == 0
    assert not ran.ran
    target = ran.target("chip")
    assert (target["status"], target["package"]) == ("skipped", None)
    assert "shellyc is not on PATH" in target["message"]
    assert "skipped" in (built.folder / "build/shelf/report.md").read_text(encoding="utf-8")
    told = built.eb("run", "manifest.yaml", "chip", "--skip-unavailable")
    assert told.code == 0
    assert "shellyc is not on PATH" in told.out
    assert "0 ran, 0 cached, 0 current" in told.out


def test_a_step_of_our_own_says_what_is_wrong_with_the_weights(built: Workspace, weights: Path) -> None:
    place = built.folder / "weights" / "tiny.pt"
    whole = place.read_bytes()
    shutil.copy(weights / "segment.pt", place)
    _failed(built.run("export"), "export", "weights/tiny.pt", "'segment'", "the manifest says 'detect'")
    place.write_bytes(whole[: len(whole) // 2])
    _failed(built.run("export"), "export", "weights/tiny.pt", "it may be cut short")
    place.write_bytes(b"this is no model, whatever its name says\n" * 9)
    ran = built.run("export")
    assert ran.code == 3
    _failed(ran, "export", "weights/tiny.pt")
    place.write_bytes(whole)
    _nothing_is_lost(built)


def test_an_image_that_cannot_be_read(built: Workspace) -> None:
    image = built.folder / "data/images/val/002.bmp"
    whole = image.read_bytes()
    image.write_bytes(b"BM not an image at all")
    ran = built.run("fp32/detections")
    assert ran.code == 3
    _failed(ran, "fp32/detections", "data/images/val/002.bmp: cannot be read as an image")
    image.write_bytes(whole)
    _nothing_is_lost(built)


def test_a_label_out_of_range_ends_the_validation_instead_of_shrinking_it(built: Workspace) -> None:
    label = built.folder / "data/labels/val/002.txt"
    whole = label.read_bytes()
    label.write_text("5 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    ran = built.run("fp32/validate")
    assert ran.code == 3
    _failed(ran, "fp32/validate", "1 validation images cannot be used", "val/002.bmp")
    label.write_bytes(whole)
    _nothing_is_lost(built)


def test_a_file_of_the_cache_that_was_damaged_is_made_again(built: Workspace) -> None:
    artifact = built.folder / "build/shelf/chip/model.shelly"
    content = artifact.read_bytes()
    blob = next(
        path for path in (built.cache / "blobs").rglob("*") if path.is_file() and path.read_bytes() == content
    )
    blob.unlink()  # it is a link to another test's file
    blob.write_bytes(b"x" * len(content))
    ran = built.run()
    assert ran.code == 0
    assert ran.ran == {"chip/compile"}
    assert ran.action("chip/compile")["why"][0]["what"] == "its stored output is missing or was damaged"


def test_a_built_file_that_was_changed_is_put_right(built: Workspace) -> None:
    artifact = built.folder / "build/shelf/chip/model.shelly"
    content = artifact.read_bytes()
    artifact.write_bytes(b"something else")
    (built.folder / "dist/shelf/shelf-fp32-1.0.0.tar.gz").unlink()
    ran = built.run()
    assert ran.code == 0
    assert not ran.ran
    assert artifact.read_bytes() == content
    assert (built.folder / "dist/shelf/shelf-fp32-1.0.0.tar.gz").is_file()


def test_an_empty_cache_builds_again_what_is_asked_for(built: Workspace) -> None:
    shutil.rmtree(built.cache)
    ran = built.run("chip/compile")
    assert ran.code == 0, ran.done.err
    assert ran.ran == {"export", "chip/compile"}
