"""The key of an action: everything that can change the bytes of its outputs, as one digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.action import ActionKey, TreeInput
from edgebuild.digest import digest_document, digest_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.action import Action, Input, Output
    from edgebuild.digest import Digest

KEY_SCHEMA = 1
"""Raised when the meaning of a key changes, so that no older record can be taken for a newer one."""


def key_document(
    action: Action,
    inputs: Mapping[str, Digest],
    tools: Mapping[str, str],
    env: Mapping[str, str],
    machine: str,
) -> dict[str, object]:
    """Return everything that can change the action's output bytes, as a JSON document.

    Args:
        action: The action.
        inputs: Digest per input role.
        tools: Identity per entry of ``action.tools``.
        env: Values of the ``env_pass`` variables that are set.
        machine: Processor identity; used only where the action depends on it.
    """
    return {
        "schema": KEY_SCHEMA,
        "step": action.step,
        "argv": list(action.argv),
        "env": {**dict(env), **dict(action.env)},  # in the order in which the process gets them
        "inputs": {i.role: [_name(i), inputs[i.role]] for i in action.inputs},
        "outputs": {o.role: _declared(o) for o in action.outputs},
        "files": {path: digest_text(text) for path, text in action.files},
        "tools": {name: tools[name] for name in action.tools},
        "success": [list(action.success.log_has), list(action.success.log_lacks)],
        "machine": machine if action.machine else "",
    }


def action_key(document: Mapping[str, object]) -> ActionKey:
    """Return the key of a key document."""
    return ActionKey(digest_document(document).removeprefix("sha256:"))


def _declared(output: Output) -> list[object]:
    """Return what is declared of an output; rules that few outputs have are there only when they are set."""
    more = [[*output.holds], output.matches] if output.holds or output.matches else []
    return [output.path, output.tree, output.magic, *more]


def _name(item: Input) -> str:
    return "" if isinstance(item, TreeInput) else item.name
