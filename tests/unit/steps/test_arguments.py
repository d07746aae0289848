"""What a plan asks of a step, the step has to understand: every command, by the step's own parser."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.manifest.values import MixedPrecision
from edgebuild.plan.candidates import Ranges
from edgebuild.plan.own_step import Ref
from edgebuild.plan.probes import blocks, noise, quantize, race, ranges, score, setup, slice_images
from tests.unit.plans import QUANTIZE, REPOSITORY, int8, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = REPOSITORY / "tests" / "golden" / "plans"
REF = Ref(action="x", output="model", name="model.onnx")


class UnderstoodError(Exception):
    """The arguments were parsed; the step need not go on."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *words: Any) -> None:
        parse(self, *words)
        raise UnderstoodError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)


def planned() -> Iterator[tuple[str, ...]]:
    for path in GOLDEN.glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        for action in found if isinstance(found, list) else ():
            yield tuple(action["argv"])


def probed() -> Iterator[tuple[str, ...]]:
    asked = MixedPrecision(max_drop=0.005, metric="", max_slowdown=0.1, budget=24)
    searched = replace(QUANTIZE, mixed_precision=asked)
    (search,) = (one for one in plan(int8("pi", quantize=searched)).actions if one.step == "search")
    known = setup(search)
    for changes in ({}, {"pairs": True}, {"reduce_range": True}):
        one = replace(
            known, settings={**known.settings, "quantize": {**known.settings["quantize"], **changes}}
        )
        probes = [
            blocks(one),
            slice_images(one),
            ranges(one, Ranges(method="percentile", percentile=99.99)),
            noise(one, "head", ["a", "b"], REF, ("decode",)),
            quantize(one, "default", REF, ("decode", "last")),
            score(one, "default", REF, REF),
            race(one, "default", {"default": REF, "float": REF}),
        ]
        yield from (probe.argv for probe in probes)


def own(argv: tuple[str, ...]) -> bool:
    return argv[1:2] == ("-m",) and argv[2].startswith("edgebuild.")


COMMANDS = sorted({argv for argv in (*planned(), *probed()) if own(argv)})


def test_there_are_commands_of_most_steps() -> None:
    assert len({argv[2] for argv in COMMANDS}) > 15


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize("module", sorted({argv[2] for argv in COMMANDS}))
def test_every_command_of_a_plan_is_one_the_step_understands(module: str) -> None:
    for argv in COMMANDS:
        if argv[2] == module:
            with pytest.raises(UnderstoodError):
                importlib.import_module(module).main(list(argv[3:]))
