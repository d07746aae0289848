from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import ActionResult, Finding, FindingsInput, Outcome
from edgebuild.errors import ManifestError
from edgebuild.perform.place import findings_text
from edgebuild.plan.finding_levels import OWN, known_findings, levelled, refused_notes, worst_levels
from edgebuild.steps import verdict
from tests.unit.plans import REPOSITORY, ascend, plan, target, toolchain

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.manifest.values import Target

WARNED = Finding(id="cpu-fallback", level="warning", message="X falls back to CPU")
NOTED = Finding(id="step-warning", level="note", message="warning: y")


def test_levels_replace_and_ignored_ones_are_gone() -> None:
    levels = {"cpu-fallback": "error", "step-warning": "ignore"}
    assert levelled([WARNED, NOTED], levels) == (replace(WARNED, level="error"),)
    assert levelled([WARNED, NOTED], {}) == (WARNED, NOTED)


def test_what_rejects_is_what_the_toolchain_says_or_the_manifest() -> None:
    strict = plan(ascend("a")).action("a/compile")
    assert strict.rejects == tuple(rule.pattern for rule in strict.findings if rule.level == "error")
    lowered = plan(ascend("a", findings=(("atc-no-kernel", "note"),))).action("a/compile")
    (pattern,) = set(strict.rejects) - set(lowered.rejects)
    assert pattern == next(rule.pattern for rule in strict.findings if rule.id == "atc-no-kernel")
    assert lowered == strict


def test_what_is_known_before_anything_runs_is_refused_where_it_is_an_error() -> None:
    fitted = Finding(id="opset-fitted", level="note", message="opset 20 is exported as 17", hint="write 17")
    given = plan(target("a", findings=(("opset-fitted", "error"),)), target("b")).manifest
    (problem,) = refused_notes(given, {"a": (fitted,), "b": (fitted,)})
    assert (problem.path, problem.hint) == ("targets.a.findings.opset-fitted", "write 17")
    assert problem.message == "opset 20 is exported as 17: an error here"


@pytest.mark.parametrize(
    ("several", "level"),
    [
        ([{"a": "ignore"}, {"a": "ignore"}], {"a": "ignore"}),
        ([{"a": "ignore"}, {"a": "note"}], {"a": "note"}),
        ([{"a": "ignore"}, {}], {}),
        ([{"a": "error"}, {}], {"a": "error"}),
        ([{"a": "note"}, {"a": "warning"}], {"a": "warning"}),
        ([], {}),
    ],
)
def test_what_targets_share_has_the_worst_level(several: list[dict[str, str]], level: dict[str, str]) -> None:
    assert worst_levels(several) == level


def test_every_finding_of_our_own_steps_is_known() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "edgebuild" / "steps").glob("*.py"))
    said = set(re.findall(r'report_finding\(\s*"([a-z-]+)"', code))
    said |= set(re.findall(r'^\s*"(calibration-[a-z-]+)",', code, re.MULTILINE))
    said |= set(re.findall(r'yield "(calibration-[a-z-]+)"', code))
    assert said - {"calibration-format"} <= set(OWN)


def test_an_id_that_nothing_can_say_is_refused_with_a_near_one() -> None:
    one = ascend(findings=(("atc-internl", "error"),))
    with pytest.raises(ManifestError) as caught:
        plan(one)
    (problem,) = caught.value.problems
    assert problem.message == "there is no finding 'atc-internl'"
    assert problem.hint == "did you mean 'atc-internal'?"
    assert problem.path == "targets.ascend.findings.atc-internl"


def test_an_id_of_another_targets_toolchain_is_fine() -> None:
    levels = (("atc-internal", "error"),)
    made = plan(ascend(findings=levels), target("pi", findings=levels))
    assert made.target("pi").verdict == "pi/verdict"
    assert "atc-internal" in known_findings([toolchain("ascend")])


def test_only_an_error_makes_the_verdict_listen() -> None:
    def hears(**levels: str) -> FindingsInput | None:
        found = tuple((name.replace("_", "-"), level) for name, level in levels.items())
        action = plan(target("pi", recipe="int8", findings=found)).action("pi/verdict")
        return next((i for i in action.inputs if isinstance(i, FindingsInput)), None)

    assert hears() is None
    assert hears(step_warning="warning", calibration_few="ignore") is None
    heard = hears(step_warning="warning", calibration_few="error")
    assert heard is not None
    assert heard.levels == (("step-warning", "warning"), ("calibration-few", "error"))
    assert {"calibrate", "export", "quantize", "pi/validate"} <= set(heard.actions)


def test_other_findings_do_not_change_what_a_verdict_reads() -> None:
    levels = (("cpu-fallback", "error"),)
    heard = FindingsInput(role="findings", name="f.json", actions=("a",), levels=levels)
    result = ActionResult(id="a", outcome=Outcome.RAN, findings=(WARNED,))
    text = findings_text(heard, {"a": result})
    assert json.loads(text) == [{"action": "a", "id": "cpu-fallback", "message": "X falls back to CPU"}]
    assert findings_text(heard, {"a": replace(result, findings=(WARNED, NOTED))}) == text


def test_an_error_of_a_tool_rejects_unless_the_manifest_lowers_it() -> None:
    def hears(**levels: str) -> tuple[str, ...]:
        found = tuple((name.replace("_", "-"), level) for name, level in levels.items())
        action = plan(ascend(findings=found)).action("ascend/verdict")
        return next((i.actions for i in action.inputs if isinstance(i, FindingsInput)), ())

    assert hears() == ("ascend/compile",)
    errors = {rule.id for rule in toolchain("ascend").findings if rule.level == "error"}
    assert hears(**{name.replace("-", "_"): "warning" for name in errors}) == ()

    said = Finding(id="atc-internal", level="error", message="E19999")
    result = ActionResult(id="a", outcome=Outcome.RAN, findings=(said, WARNED))
    heard = FindingsInput(role="findings", name="f.json", actions=("a",))
    assert [row["id"] for row in json.loads(findings_text(heard, {"a": result}))] == ["atc-internal"]
    lowered = replace(heard, levels=(("atc-internal", "note"),))
    assert findings_text(lowered, {"a": result}) == "[]"


def test_our_own_steps_say_no_errors() -> None:
    """A verdict hears them only where a manifest asks; see :func:`rejecting`."""
    sources = (REPOSITORY / "edgebuild" / "steps").glob("*.py")
    levels = [re.findall(r"level=\"(\w+)\"", path.read_text(encoding="utf-8")) for path in sources]
    assert "error" not in {level for found in levels for level in found}


def test_an_error_that_options_alone_come_to_is_refused_at_once() -> None:
    def one(**more: Any) -> Target:
        options = {"target_hardware": "AX650", "npu_mode": "NPU4"}
        return target("ax", toolchain="axera", recipe="int8", options=options, **more)

    with pytest.raises(ManifestError) as caught:
        plan(one())
    (problem,) = caught.value.problems
    assert (problem.path, problem.message) == (
        "targets.ax.options.npu_mode", "this chip has NPU1, NPU2 and NPU3"
    )  # fmt: skip
    assert plan(one(findings=(("npu-mode", "warning"),))).target("ax").package


def test_a_finding_that_is_not_allowed_rejects(tmp_path: Path) -> None:
    (tmp_path / "gates.json").write_text("[]")
    (tmp_path / "m.bin").write_bytes(b"model")
    findings = [{"action": "npu/compile", "id": "cpu-fallback", "message": "X falls back to CPU"}]
    (tmp_path / "f.json").write_text(json.dumps(findings))
    words = ["--gates", "gates.json", "--artifact", "m.bin", "--output", "v.json", "--findings", "f.json"]
    verdict.main([str(tmp_path / word) if "." in word else word for word in words])
    document = json.loads((tmp_path / "v.json").read_text())
    assert document["status"] == "rejected"
    (row,) = document["verdicts"]
    assert (row["metric"], row["text"]) == ("findings/cpu-fallback", "npu/compile: X falls back to CPU")
