from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgebuild.action import Action, ActionInput, FileInput, Output
from edgebuild.digest import digest_text
from edgebuild.perform.key import action_key, key_document

ONE, TWO = digest_text("one"), digest_text("two")

ACTION = Action(
    id="npu/compile",
    step="compile",
    argv=("cc", "in/model/model.onnx", "out/model.om"),
    env=(("MODE", "fast"),),
    inputs=(
        FileInput(role="model", name="model.onnx", path=Path("/a/model.onnx")),
        ActionInput(role="data", action="calibrate", output="tensors", name="data.npy"),
        ActionInput(role="more", action="calibrate", output="selection", name="more.json"),
    ),
    outputs=(Output(role="model", path="model.om", magic="494d"),),
    files=(("cfg.txt", "x = 1"),),
    tools=("vendor/cc",),
)


def key(action: Action = ACTION, **given: Any) -> str:
    digests = {"model": ONE, "data": TWO, "more": TWO, **given.get("inputs", {})}
    tools = given.get("tools", {"vendor/cc": "cc 1"})
    return action_key(key_document(action, digests, tools, given.get("env", {}), given.get("machine", "m")))


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        (("python", "-m", "edgebuild.steps.export", "--x"), "edgebuild.steps.export"),
        (("python", "-m", "edgebuilder.steps"), ""),
        (("python", "-m", "vendor.tool"), ""),
        (("python", "-m"), ""),
        (("python", "in/toolchain/convert.py"), ""),
        (("cc", "-m", "edgebuild.steps.export"), ""),
    ],
)
def test_which_actions_run_a_program_of_edgebuild(argv: tuple[str, ...], program: str) -> None:
    assert replace(ACTION, argv=argv).program == program


def test_a_key_is_a_whole_sha256() -> None:
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")
    assert key() == key()


@pytest.mark.parametrize(
    "given",
    [
        {"inputs": {"model": TWO}},
        {"inputs": {"model": TWO, "data": ONE}},
        {"tools": {"vendor/cc": "cc 2"}},
        {"env": {"LICENCE": "x"}},
    ],
)
def test_what_can_change_bytes_changes_it(given: dict[str, Any]) -> None:
    assert key(**given) != key()


def test_two_inputs_that_swap_their_content_change_it() -> None:
    swapped = key(inputs={"model": TWO, "data": ONE})
    assert swapped not in {key(), key(inputs={"model": TWO}), key(inputs={"data": ONE})}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "other/compile"},
        {"targets": ("a", "b")},
        {"timeout": 1.0},
        {"retries": 3},
        {"inputs": (FileInput(role="model", name="model.onnx", path=Path("/b")), *ACTION.inputs[1:])},
    ],
)
def test_what_cannot_does_not(changes: dict[str, Any]) -> None:
    assert key(replace(ACTION, **changes)) == key()


def test_only_a_measurement_is_of_this_machine() -> None:
    assert key(machine="other") == key()
    measured = replace(ACTION, machine=True)
    assert key(measured, machine="other") != key(measured)


def test_what_the_action_sets_hides_what_the_caller_has() -> None:
    assert key(env={"MODE": "mine"}) == key()
    assert key(replace(ACTION, env=(("MODE", "slow"),)), env={"MODE": "mine"}) != key(env={"MODE": "mine"})


def test_what_it_needs_is_named_once() -> None:
    assert ACTION.needs == ("calibrate",)


def test_outputs_are_found_by_their_role() -> None:
    assert ACTION.output("model").path == "model.om"
    with pytest.raises(KeyError, match="npu/compile has no output 'info'"):
        ACTION.output("info")
