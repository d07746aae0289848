from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from edgebuild.run.outcome import run_result
from edgebuild.run.standing import completed
from tests.unit import plans
from tests.unit.workbench import leaves

if TYPE_CHECKING:
    from edgebuild.cache.action_cache import Elsewhere
    from edgebuild.plan.plan import Plan
    from edgebuild.run.session import Session
    from tests.unit.workbench import Workbench


@dataclass
class Planned:
    """Of a session what matters here."""

    plan: Plan

    def unavailable(self, **_: Any) -> dict[str, str]:
        return {"npu": "atc is not on PATH"}


class NotAsked:
    """A remote cache: nobody asked for the targets that are looked for."""

    def fetch_record(self, key: str) -> None:
        raise AssertionError(f"{key} was asked for")

    def fetch_artifact(self, artifact: object) -> bool:
        raise AssertionError(f"{artifact} was asked for")


def test_the_report_of_a_part_has_every_target(bench: Workbench) -> None:
    weights = bench.write("best.pt", "weights")
    made = plans.plan(
        *map(plans.target, ("pi", "pc", "npu")),
        model=replace(plans.MODEL, weights=weights),
        folder=bench.workspace,
    )
    bench.identities = defaultdict(lambda: "some version")
    context = bench.context()
    done = {"pi/verdict": leaves(context, "pi/verdict", verdict='{"status": "rejected"}')}
    run = run_result(made, done, context, targets=("pi",), skipped={}, placed={}, started="", seconds=0.0)
    assert [target.name for target in run.targets] == ["pi"]

    context.cache.connect(cast("Elsewhere", NotAsked()))
    session = cast("Session", Planned(made))
    whole = completed(session, context, done, run, targets=("pi",), left_out={})

    assert {target.name: (target.status, target.message) for target in whole.targets} == {
        "pi": ("rejected", ""),
        "pc": ("skipped", "not built yet"),
        "npu": ("skipped", "atc is not on PATH"),
    }
    assert whole.exit_code == run.exit_code == 4
