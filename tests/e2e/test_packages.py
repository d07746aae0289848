"""Packages: checked offline, replayed, refused when anything was touched, the same bytes every time."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from edgebuild.archive import write_archive
from tests.e2e.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

PACKAGES = ("fp32", "int8", "chip")


def _package(w: Workspace, target: str) -> Path:
    return w.folder / f"dist/shelf/shelf-{target}-1.0.0.tar.gz"


def test_a_package_verifies_and_its_golden_vectors_come_out(built: Workspace) -> None:
    done = built.eb("verify", str(_package(built, "int8")))
    assert done.code == 0, done.err
    assert "shelf 1.0.0 for int8 (onnxruntime, int8)" in done.out
    assert "files match their checksums; gates: passed" in done.out
    assert "golden vectors: matches" in done.out


def test_a_package_for_another_machine_is_checked_but_not_replayed(built: Workspace) -> None:
    done = built.eb("verify", str(_package(built, "chip")), "--json")
    document = done.json()
    assert done.code == 0
    assert document["replay"]["status"] == "not replayed"
    assert {"artifact/model.shelly", "golden.npz", "verdicts.json"} <= {f["path"] for f in document["files"]}


def _flip_a_bit(package: Path) -> None:
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    package.write_bytes(data)


def _cut(package: Path) -> None:
    package.write_bytes(package.read_bytes()[:-2000])


def _other_artifact(members: dict[str, Path | bytes]) -> None:
    members["artifact/model.shelly"] = b"SHELx" * 7


def _other_labels(members: dict[str, Path | bytes]) -> None:
    members["labels.txt"] = b"nut\nbolt\n"


def _one_more(members: dict[str, Path | bytes]) -> None:
    members["artifact/extra.sh"] = b"#!/bin/sh\n"


def _one_less(members: dict[str, Path | bytes]) -> None:
    del members["verdicts.json"]


def _repack(change: Callable[[dict[str, Path | bytes]], None]) -> Callable[[Path], None]:
    def repack(package: Path) -> None:
        with tarfile.open(package) as archive:
            members: dict[str, Path | bytes] = {}
            for member in archive.getmembers():
                stream = archive.extractfile(member)
                assert stream is not None
                members[member.name] = stream.read()
        change(members)
        write_archive(package, members)

    return repack


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_flip_a_bit, ""),
        (_cut, ""),
        (lambda package: package.write_bytes(b"no archive"), ""),
        (lambda package: package.unlink(), "shelf-chip-1.0.0.tar.gz"),
        (_repack(_other_artifact), "artifact/model.shelly"),
        (_repack(_other_labels), "labels.txt"),
        (_repack(_one_more), "artifact/extra.sh"),
        (_repack(_one_less), "verdicts.json"),
    ],
    ids=["bit", "cut", "no archive", "gone", "artifact", "labels", "one more", "one less"],
)
def test_a_package_that_was_touched_does_not_verify(
    built: Workspace, spoil: Callable[[Path], object], word: str
) -> None:
    package = _package(built, "chip")
    spoil(package)
    done = built.eb("verify", str(package))
    assert done.code == 9, done
    assert not done.out
    assert word in done.err
    assert "Traceback" not in done.err
    again = built.run()  # and the next run puts the sound one back
    assert not again.ran
    assert built.eb("verify", str(package), "--no-replay").code == 0


def test_two_builds_from_nothing_give_the_same_bytes(master: Workspace, tmp_path: Path) -> None:
    other = make_workspace(tmp_path / "a folder of another name")
    shutil.copy(master.folder / "weights/tiny.pt", other.folder / "weights/tiny.pt")
    ran = other.run("-j", "1")
    assert ran.code == 0, ran.done.err
    assert not ran.ids("current")
    for name in PACKAGES:
        assert _package(other, name).read_bytes() == _package(master, name).read_bytes(), name


def test_the_printed_commands_build_the_same_artifact(master: Workspace, tmp_path: Path) -> None:
    by_hand = make_workspace(tmp_path)
    shutil.copy(master.folder / "weights/tiny.pt", by_hand.folder / "weights/tiny.pt")
    text = by_hand.eb("commands", "manifest.yaml", "int8/package", "chip/compile").out
    done = subprocess.run(
        ["bash", "-eu"],
        input=text,
        cwd=by_hand.folder,
        env=by_hand.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    for made, built in (
        ("quantize/model.onnx", "int8/model.onnx"),
        ("chip/compile/model.shelly", "chip/model.shelly"),
    ):
        ours = (by_hand.folder / "build/shelf" / made).read_bytes()
        assert ours == (master.folder / "build/shelf" / built).read_bytes()
    package = by_hand.folder / "build/shelf/int8/package/shelf-int8-1.0.0.tar.gz"
    assert by_hand.eb("verify", str(package), "--no-replay").code == 0
