from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.run.installed import Installed
from edgebuild.run.session import Session
from edgebuild.verbs.show import Ended, report_files, show, with_exit_code
from tests.unit import plans
from tests.unit.fixtures_report import sample_run

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.results import RunResult

TARGETS = ("rpi5", "n100-box", "ascend-310p", "mlu370")


def session(folder: Path) -> Session:
    made = plans.plan(*map(plans.target, TARGETS), folder=folder)
    installed = Installed(probed={}, identities={}, distributions=(), surroundings={})
    return Session(manifest=made.manifest, plan=made, installed=installed)


def idle(folder: Path) -> RunResult:
    """Return a run that had nothing to do."""
    return replace(sample_run(folder), actions=())


def ended(folder: Path, result: RunResult) -> Ended:
    return Ended(session=session(folder), result=result, whole=lambda: result)


def printed(capsys: pytest.CaptureFixture[str], *several: Ended, code: int) -> Any:
    show(several, code, as_json=True, quiet=False, explain=False)
    return json.loads(capsys.readouterr().out)


def report(folder: Path) -> Any:
    return json.loads((folder / "build" / "fasteners" / "report.json").read_text(encoding="utf-8"))


def test_a_run_that_was_stopped_says_what_the_process_exits_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = with_exit_code(ended(tmp_path, sample_run(tmp_path)), 143)
    assert printed(capsys, stopped, code=143)["exit_code"] == 143


def test_of_several_manifests_the_whole_says_it_and_so_does_the_one_that_was_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ended(tmp_path, replace(sample_run(tmp_path), exit_code=0))
    stopped = with_exit_code(ended(tmp_path, sample_run(tmp_path)), 143)
    document = printed(capsys, first, stopped, code=143)
    assert document["exit_code"] == 143
    assert [row["exit_code"] for row in document["runs"]] == [0, 143]


def test_a_report_that_was_written_when_the_signal_came_says_it_too(tmp_path: Path) -> None:
    one = ended(tmp_path, sample_run(tmp_path))
    one = replace(one, reports=report_files(one.session, one.result, one.whole))
    assert report(tmp_path)["exit_code"] == 4
    with_exit_code(one, 143)
    assert report(tmp_path)["exit_code"] == 143


def test_a_run_of_a_part_with_nothing_to_do_leaves_the_report(tmp_path: Path) -> None:
    one = ended(tmp_path, idle(tmp_path))
    report_files(one.session, one.result, one.whole)
    judged = replace(one.result.targets[0], package="")  # its verdict alone was asked for
    part = replace(one.result, targets=(judged,), seconds=0.5)
    report_files(one.session, part, lambda: part)
    assert [row["name"] for row in report(tmp_path)["targets"]] == list(TARGETS)


@pytest.mark.parametrize("change", [{"status": "rejected"}, {"message": "no memory"}, {"ship": False}])
def test_what_is_different_is_reported_though_nothing_ran(tmp_path: Path, change: dict[str, Any]) -> None:
    one = ended(tmp_path, idle(tmp_path))
    report_files(one.session, one.result, one.whole)
    first, *rest = one.result.targets
    other = replace(one.result, targets=(replace(first, **change), *rest))
    report_files(one.session, other, lambda: other)
    assert change.items() <= report(tmp_path)["targets"][0].items()


def test_what_was_asked_for_and_cannot_be_built_is_told_though_nothing_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = replace(idle(tmp_path), targets=idle(tmp_path).targets[-1:], exit_code=0)
    for asked in (False, True):
        one = replace(ended(tmp_path, result), asked_for_absent=asked)
        show([one], 0, as_json=False, quiet=False, explain=False)
        assert ("mlu370" in capsys.readouterr().out) == asked


def test_a_removed_package_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "dist" / "fasteners-pi-1.4.0.tar.gz"
    one = replace(ended(tmp_path, idle(tmp_path)), removed=(gone,))
    show([one], 0, as_json=False, quiet=False, explain=False)
    assert "fasteners-pi-1.4.0.tar.gz: not what the manifest builds" in capsys.readouterr().out
