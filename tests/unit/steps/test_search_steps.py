"""The step programs of a search: choosing images, noise of a block, speed in turn, and writing the choice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import race as race_step
from edgebuild.steps._step import StepFailure
from edgebuild.steps.choose import main as choose
from edgebuild.steps.quantize import keep_entries
from edgebuild.steps.slice import main as slice_main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHOICE = ["--settings", "s.json", "--probes", "p.json", "--choice", "c.json", "--ranges", "r.json"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_choice_without_measurements_says_who_makes_them(here: Path) -> None:
    (here / "p.json").write_text("{}")
    with pytest.raises(StepFailure, match="driven by `edgebuild run`"):
        choose([*CHOICE, "--search", "o.json"])


def test_a_search_that_found_nothing_fails_with_what_it_found(here: Path) -> None:
    (here / "p.json").write_text(json.dumps({"search": {}, "failure": "none of 3", "hint": "max_drop: 0.01"}))
    with pytest.raises(StepFailure, match=r"none of 3; max_drop: 0\.01"):
        choose([*CHOICE, "--search", "o.json"])
    assert not (here / "c.json").exists()


def test_a_choice_is_written_with_its_ranges(here: Path) -> None:
    found = {"search": {"a": 1}, "choice": {"keep_float": ["decode", "/m/*"]}, "ranges": {"tensors": {}}}
    (here / "p.json").write_text(json.dumps(found))
    choose([*CHOICE, "--search", "o.json"])
    assert json.loads((here / "c.json").read_text()) == found["choice"]
    assert json.loads((here / "o.json").read_text()) == {"a": 1}

    class Arguments:
        choice, keep_float = "c.json", ("last",)

    assert keep_entries(Arguments) == ("decode", "/m/*")  # type: ignore[arg-type]


def test_something_else_is_no_choice(here: Path) -> None:
    (here / "c.json").write_text("[]")

    class Arguments:
        choice, keep_float = "c.json", ()

    with pytest.raises(StepFailure, match="not a search's choice"):
        keep_entries(Arguments)  # type: ignore[arg-type]


@pytest.mark.yolo
def test_a_large_split_is_cut_down_with_rare_classes_and_a_small_one_is_not(
    here: Path, write_tree: Callable[..., Path], write_dataset: Callable[..., Path]
) -> None:
    write_tree(here / "val", [[0]] * 14 + [[1], [2]])
    write_dataset(here / "d.json")
    words = ["--validation", "val", "--dataset", "d.json"]
    slice_main([*words, "--images", "6", "--output", "few"])
    slice_main([*words, "--images", "13", "--output", "all"])
    few = sorted(path.name for path in (here / "few" / "images").iterdir())
    assert len(few) == 6
    assert {"014.png", "015.png"} <= set(few)
    assert sorted(path.stem for path in (here / "few" / "labels").iterdir()) == [name[:-4] for name in few]
    assert len(list((here / "all" / "images").iterdir())) == 16


def test_variants_take_turns_and_another_one_begins_each_round() -> None:
    order: list[str] = []
    runs = {name: (lambda name=name: order.append(name)) for name in "abc"}
    rounds = race_step.race(runs, rounds=3, turn_seconds=0.0)
    assert [set(row) for row in rounds] == [set("abc")] * 3
    turns = [name for index, name in enumerate(order[-27:]) if index % 3 == 0]
    assert turns == list("abcbcacab")


def test_a_ratio_is_the_median_of_the_rounds_and_one_bad_round_does_not_matter() -> None:
    good, bad = (
        {"default": (10.0, 20.0), "candidate": (11.0, 22.0)},
        {"candidate": (90.0, 22.0), "default": (10.0, 20.0)},
    )
    found = race_step.summary([*[good] * 6, bad])
    assert (found["reference"], found["by"]) == ("default", "clock")
    assert found["ratio"] == {"default": 1.0, "candidate": 1.1}


def test_on_a_busy_machine_processor_time_counts() -> None:
    rounds = [
        {"default": (10.0 + 7 * (index % 3), 20.0), "candidate": (11.0 + 9 * (index % 5), 22.0)}
        for index in range(21)
    ]
    assert not race_step.steady(rounds)
    found = race_step.summary(rounds)
    assert found["by"] == "processor time"
    assert found["ratio"] == {"default": 1.0, "candidate": 1.1}


@pytest.mark.yolo
def test_the_noise_of_a_block(here: Path, run_step: Callable[..., Any], detector: Path) -> None:
    np = pytest.importorskip("numpy")
    images = np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32)
    np.save(here / "c.npy", images)
    for words in (("preprocess", "--model", detector, "--output", "p.onnx"),
                  ("ranges", "--model", "p.onnx", "--tensors", "c.npy", "--output", "r.json")):  # fmt: skip
        done = run_step(*words)
        assert done.returncode == 0, done.stderr

    def noise(*nodes: str) -> float:
        (here / "b.json").write_text(json.dumps(list(nodes)))
        done = run_step(
            "sensitivity", "--model", "p.onnx", "--ranges", "r.json", "--tensors", "c.npy", "--images", 4,
            "--block", "b.json", "--keep-float", "decode", "last", "--output", "n.json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return float(json.loads((here / "n.json").read_text())["noise"])

    assert noise() == 0.0
    assert noise("box0") == 0.0, "what stays float in any case brings no noise"
    assert 0 < noise("hidden0", "act0") < noise("stem", "relu", "down", "relu2", "hidden0", "act0")
