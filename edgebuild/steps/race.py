"""Time several variants of a model in turn, in one process: ``python -m edgebuild.steps.race``.

Absolute times drift with the machine's temperature and with what else runs; the ratio of two variants that
take turns within tenths of a second hardly does. Every round runs every variant, beginning with another one
each time; a ratio is the median of the rounds' ratios. Where that is not steady either, because other
programs want the processor, more rounds are run; if it stays so, the ratio is that of processor time,
which waiting for a turn does not lengthen. The result says which it is.
"""

from __future__ import annotations

import argparse
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from edgebuild.steps._ort import import_onnxruntime
from edgebuild.steps._runtime import open_artifact
from edgebuild.steps._step import fail, read_json, run_step, write_json
from edgebuild.steps.benchmark import random_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCHEMA = 1

ROUNDS = 21
MOST_ROUNDS = 3
"""How often that many rounds are run when the ratios are not steady."""

STEADY = 0.01
"""Standard error of a ratio that is good enough."""

HOPELESS = 0.03
"""Standard error after which no more rounds are run."""

TURN_SECONDS = 0.06
"""How long a variant runs before the next one has its turn."""

_LEAST, _MOST = 3, 50
"""Runs in a turn."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure and write the ratios."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.race", description=__doc__)
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FILE", required=True,
                        help="the first one is what the others are compared with")  # fmt: skip
    parser.add_argument("--info", required=True, help="the model's description (model.json)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", required=True)
    options = parser.parse_args(argv)
    info = read_json(options.info)
    images = random_images(info, batch=options.batch)
    import_onnxruntime()
    runs: dict[str, Callable[[], object]] = {}
    for text in options.variant:
        name, equals, file = text.partition("=")
        if not equals or not name or name in runs:
            fail(f"--variant {text}: not NAME=FILE with a name of its own", hint="write each once")
        runs[name] = open_artifact(file, info, threads=options.threads, runtime=None).bind(images)
    rounds: list[dict[str, Sample]] = []
    for _ in range(MOST_ROUNDS):
        rounds += race(runs, rounds=options.rounds)
        if steady(rounds) or hopeless(rounds):
            break
    write_json(options.output, summary(rounds) | {"threads": options.threads, "batch": options.batch})


Sample = tuple[float, float]
"""Milliseconds of one run: by the clock (median of a turn), and of processor time, all threads together."""


def race(
    runs: Mapping[str, Callable[[], object]], *, rounds: int, turn_seconds: float = TURN_SECONDS
) -> list[dict[str, Sample]]:
    """Return, per round, how long every variant took."""
    counts = {name: _count(run, turn_seconds) for name, run in runs.items()}
    names = list(runs)
    found = []
    collecting = gc.isenabled()
    gc.disable()  # a collection in the middle of a run would be counted as the variant's
    try:
        for number in range(rounds):
            turn = number % len(names)
            order = [*names[turn:], *names[:turn]]
            found.append({name: _turn(runs[name], counts[name]) for name in order})
    finally:
        if collecting:
            gc.enable()
    return found


def steady(rounds: Sequence[Mapping[str, Sample]]) -> bool:
    """Say whether every ratio by the clock is known well enough."""
    return all(_error(values) <= STEADY for values in _ratios(rounds, 0).values())


def hopeless(rounds: Sequence[Mapping[str, Sample]]) -> bool:
    """Say whether a ratio by the clock is so uncertain that more rounds would not help."""
    return any(_error(values) > HOPELESS for values in _ratios(rounds, 0).values())


def summary(rounds: Sequence[Mapping[str, Sample]]) -> dict[str, Any]:
    """Return median milliseconds, and ratios to the first variant of the first round with their error."""
    sure = steady(rounds)
    ratios = _ratios(rounds, 0 if sure else 1)
    return {
        "schema": SCHEMA,
        "reference": next(iter(rounds[0])),
        "rounds": len(rounds),
        "by": "clock" if sure else "processor time",
        "ms": {name: round(median(row[name][0] for row in rounds), 4) for name in rounds[0]},
        "cpu_ms": {name: round(median(row[name][1] for row in rounds), 4) for name in rounds[0]},
        "ratio": {name: round(median(values), 5) for name, values in ratios.items()},
        "error": {name: round(_error(values), 5) for name, values in ratios.items()},
    }


def _ratios(rounds: Sequence[Mapping[str, Sample]], kind: int) -> dict[str, list[float]]:
    first = next(iter(rounds[0]))
    return {name: sorted(row[name][kind] / row[first][kind] for row in rounds) for name in rounds[0]}


def _error(values: Sequence[float]) -> float:
    """Return the standard error of the median of sorted values, from the distance of their quarters."""
    spread = values[(3 * len(values)) // 4] - values[len(values) // 4]
    return 0.93 * spread / len(values) ** 0.5


def _count(run: Callable[[], object], turn_seconds: float) -> int:
    """Warm a variant up, and return how many runs fill its turn."""
    for _ in range(_LEAST):
        run()
    return max(_LEAST, min(_MOST, round(turn_seconds * 1000 / max(_turn(run, _LEAST)[0], 1e-3))))


def _turn(run: Callable[[], object], count: int) -> Sample:
    samples = []
    used = time.process_time_ns()
    for _ in range(count):
        started = time.perf_counter_ns()
        run()
        samples.append((time.perf_counter_ns() - started) / 1e6)
    used = time.process_time_ns() - used
    return median(samples), max(used, 1) / 1e6 / count


if __name__ == "__main__":
    run_step(main)
