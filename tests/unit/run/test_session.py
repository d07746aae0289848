"""What is wrong with a manifest, its toolchains and its targets is said together, and each mistake once."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from edgebuild.errors import ManifestError, StoreError
from edgebuild.manifest.load import load_manifest
from edgebuild.run.session import look_here, open_plan, writing
from tests.test_broken import BROKEN, directives

if TYPE_CHECKING:
    from pathlib import Path


def problems(path: Path, *overrides: str) -> list[str]:
    """Return the problems of a manifest, without its name and their columns."""
    with pytest.raises(ManifestError) as caught:
        open_plan(str(path), look_here(), overrides=overrides)
    return [f"{one.line}: {one.path}: {one.message}" for one in caught.value.problems]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(
        "edgebuild: 1\n"
        "name: several\n"
        f"model: {{weights: {BROKEN}/assets/weights.pt, task: detect, imgsz: 320}}\n"
        f"dataset: {{data: {BROKEN}/assets/data.yaml}}\n"
        "acceptance: {map50_95: {min: 45}}\n"
        "targets:\n"
        "  a: {toolchain: onnx}\n"
        "  b: {toolchain: onnxruntime, recipe: fp31}\n"
        "  c: {toolchain: ncnn, batch: 4}\n"
        "  d: {toolchain: onnxruntime, recipe: int8}\n",
        encoding="utf-8",
    )
    return path


FOUR = [
    "5: targets.a.acceptance.map50_95.min: map50_95 is a ratio between 0 and 1: no model can reach that",
    "7: targets.a.toolchain: there is no toolchain 'onnx', did you mean 'onnxruntime'?",
    "8: targets.b.recipe: onnxruntime has no recipe 'fp31'",
    "9: targets.c.batch: ncnn takes batch 1 only, the target has 4",
]


def test_problems_of_a_manifest_its_toolchains_and_its_targets_are_told_together(written: Path) -> None:
    assert problems(written) == FOUR


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        ("task: detect", "task: detection", "3: model.task: 'detection' is none of"),
        ("imgsz: 320", "imgsz: 640x480", "3: model.imgsz: expected integer or list"),
        ("assets/data.yaml", "assets/date.yaml", "4: dataset.data: no such file"),
        (
            "assets/data.yaml}",
            "assets/data.yaml, calibration: {images: some}}",
            "4: dataset.calibration.images",
        ),
    ],
)
def test_what_follows_from_a_mistake_is_no_mistake(written: Path, old: str, new: str, first: str) -> None:
    written.write_text(written.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    head, *rest = problems(written)
    assert head.startswith(first)
    assert rest == FOUR


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_whatever_is_wrong_with_a_manifest_the_rest_of_it_can_be_judged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN)
    settings = directives(path, "set")
    with pytest.raises(ManifestError) as alone:
        load_manifest(path.name, overrides=settings)
    with pytest.raises(ManifestError) as all_of_it:
        open_plan(path.name, look_here(), overrides=settings)
    assert set(alone.value.problems) <= set(all_of_it.value.problems)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_workspace_that_cannot_be_written_is_named_also_where_the_system_names_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "build" / "fasteners"
    with pytest.raises(StoreError) as caught, writing(folder):
        raise OSError(number, os.strerror(number))
    assert caught.value.message.startswith(f"{folder}: ")
    assert "EDGEBUILD_CACHE" not in caught.value.hint
    with pytest.raises(StoreError) as caught, writing(tmp_path / "cache" / "x"):
        raise OSError(number, os.strerror(number))
    assert "EDGEBUILD_CACHE" in caught.value.hint
