"""Every file in ``broken/`` is wrong in one way, is named by it, and starts with what must be reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebuild.errors import ManifestError
from edgebuild.manifest.load import load_manifest

BROKEN = Path(__file__).parent / "broken"


def directives(path: Path, word: str) -> list[str]:
    start = f"# {word}: "
    return [
        line.removeprefix(start)
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith(start)
    ]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_broken_manifest_is_refused_with_these_problems_and_no_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN)
    expected = directives(path, "expect")
    assert expected, "the file must say what is expected"

    with pytest.raises(ManifestError) as caught:
        load_manifest(path.name, overrides=directives(path, "set"))

    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(expected), "\n".join(found)
    assert all(words in text for words, text in zip(expected, found, strict=True)), "\n".join(found)
    assert caught.value.exit_code == 2


def test_the_files_that_broken_manifests_share_are_fine_by_themselves(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        "edgebuild: 1\nname: fine\n"
        f"model: {{weights: {BROKEN}/assets/weights.pt, task: detect, imgsz: 320}}\n"
        f"dataset: {{data: {BROKEN}/assets/data.yaml}}\n"
        "targets:\n  host: {toolchain: onnxruntime}\n",
        encoding="utf-8",
    )

    loaded = load_manifest(manifest)

    assert loaded.dataset is not None
    assert loaded.dataset.calibration.images == 3
