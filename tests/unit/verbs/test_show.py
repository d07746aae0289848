from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from edgebuild.results import RunResult
from edgebuild.verbs.show import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from edgebuild.verbs.show import Ended


class One:
    """How a run ended, as far as a document shows it."""

    def __init__(self, name: str, code: int) -> None:
        self.reports = ()
        self.result = RunResult(
            name=name, manifest=f"{name}.yaml", version="1", started="", seconds=0.0, exit_code=code,
            actions=(), targets=(), baseline=(), baseline_detections=None, protocol={},
        )  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], ended: Sequence[One], *rest: str, code: int = 0) -> Any:
    given = cast("Sequence[Ended]", ended)
    show(given, code, not_started=rest, as_json=True, quiet=False, explain=False)
    return capsys.readouterr()


def test_one_run_is_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(told(capsys, [One("a", 0)]).out)["manifest"] == "a.yaml"


def test_of_several_manifests_there_is_a_list_also_when_the_first_one_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = told(capsys, [One("a", 3)], "b.yaml", "c.yaml", code=3)
    document = json.loads(said.out)
    assert [row["manifest"] for row in document["runs"]] == ["a.yaml"]
    assert (document["exit_code"], document["not_started"]) == (3, ["b.yaml", "c.yaml"])
    assert said.err == "edgebuild: not started: b.yaml, c.yaml\n"
    document = json.loads(told(capsys, [One("a", 0), One("b", 4)], code=4).out)
    assert [row["exit_code"] for row in document["runs"]] == [0, 4]
    assert document["not_started"] == []
