from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionResult, Outcome
from edgebuild.results import run_document
from edgebuild.run.outcome import run_result
from edgebuild.run.placing import TRAINED, materialise, present, remove_outdated
from tests.unit import plans
from tests.unit.workbench import leaves

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.perform.context import Context
    from edgebuild.plan.plan import Plan
    from tests.unit.workbench import Workbench

FAILED = ActionResult(id="pi/detections", outcome=Outcome.FAILED, message="no memory", exit_code=3)


def test_trained_weights_are_put_beside_the_targets_also_when_nothing_else_was_asked_for(
    bench: Workbench,
) -> None:
    context = bench.context()
    done = {"train": leaves(context, "train", weights="w\n", summary="s\n")}
    trained = replace(plans.MODEL, weights=None, train=plans.TRAIN)
    made = plans.plan(plans.target(), model=trained, folder=bench.workspace)

    looked = materialise(made, done, context, (), look=True)
    folder = bench.workspace / "build" / "fasteners" / "train"
    assert not folder.exists()
    placed = materialise(made, done, context, ())

    assert placed == looked
    assert (folder / "best.pt").read_text() == "w\n"
    assert (folder / "training.json").read_text() == "s\n"
    # What is watched for changes, so that a removed file is put back.
    assert set(placed[TRAINED].values()) == {folder / "best.pt", folder / "training.json"}
    result = run_result(made, done, context, targets=(), skipped={}, placed=placed, started="", seconds=0.0)
    assert run_document(result)["trained"] == "build/fasteners/train/best.pt"


def test_where_weights_are_given_there_are_no_trained_ones(bench: Workbench) -> None:
    made = plans.plan(plans.target(), folder=bench.workspace)

    assert materialise(made, {}, bench.context(), ()) == {}


def packaged(bench: Workbench) -> tuple[Plan, dict[str, ActionResult], Context, Path]:
    """Return a run that packaged the target ``pi``, and ``dist/fasteners`` with its files in place."""
    made = plans.plan(plans.target("pi"), folder=bench.workspace)
    context = bench.context()
    done = {"pi/package": leaves(context, "pi/package", package="archive", measurements="{}")}
    materialise(made, done, context, ("pi",))
    dist = bench.workspace / "dist" / "fasteners"
    assert names(dist) == ["fasteners-pi-1.4.0.measurements.json", "fasteners-pi-1.4.0.tar.gz"]
    return made, done, context, dist


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_package_that_the_run_stands_for_stays(bench: Workbench) -> None:
    made, done, context, dist = packaged(bench)
    assert remove_outdated(made, done, context, ("pi",)) == ()
    assert len(names(dist)) == 2


@pytest.mark.parametrize("package", ["made", "not made"])
def test_the_package_of_a_target_that_failed_goes_and_nothing_else(bench: Workbench, package: str) -> None:
    made, done, context, dist = packaged(bench)
    for other in ("fasteners-pi-1.3.0.tar.gz", "fasteners-pi5-1.4.0.tar.gz", "notes.txt"):
        (dist / other).write_text("of somebody")
    unmade = ActionResult(id="pi/package", outcome=Outcome.SKIPPED, message="it needs pi/verdict")
    failed = {"pi/detections": FAILED} | (done if package == "made" else {"pi/package": unmade})

    assert "package" not in materialise(made, failed, context, ("pi",))["pi"]
    removed = remove_outdated(made, failed, context, ("pi",))

    assert names(dist) == ["fasteners-pi-1.3.0.tar.gz", "fasteners-pi5-1.4.0.tar.gz", "notes.txt"]
    gone = ["fasteners-pi-1.4.0.measurements.json", "fasteners-pi-1.4.0.tar.gz"]
    assert sorted(path.name for path in removed) == gone


def test_the_package_of_a_target_that_ships_no_more_goes(bench: Workbench) -> None:
    _, _, context, dist = packaged(bench)
    compared = plans.plan(plans.target("pi", ship=False), folder=bench.workspace)
    remove_outdated(compared, {}, context, ("pi",))
    assert names(dist) == []


def test_a_package_that_was_not_asked_for_stays(bench: Workbench) -> None:
    made, _, context, dist = packaged(bench)
    verdict = {"pi/verdict": leaves(context, "pi/verdict", verdict='{"status": "rejected"}')}
    assert remove_outdated(made, verdict, context, ("pi",)) == ()
    assert len(names(dist)) == 2


def test_what_is_present_is_what_is_in_place_byte_for_byte(bench: Workbench) -> None:
    made, done, context, dist = packaged(bench)
    (dist / "fasteners-pi-1.4.0.measurements.json").write_text("[]")
    assert present(made, done, context, ("pi",)) == {"pi": {"package": dist / "fasteners-pi-1.4.0.tar.gz"}}
