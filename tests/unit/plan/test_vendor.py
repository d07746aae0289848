from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import LogRule, TreeInput
from edgebuild.errors import ManifestError
from edgebuild.plan.own_step import Ref
from edgebuild.plan.vendor import vendor_step
from edgebuild.toolchain.load import Template
from tests.unit.plans import ascend, manifest, plan, toolchain

if TYPE_CHECKING:
    from edgebuild.action import Action
    from edgebuild.manifest.values import Target
    from edgebuild.toolchain.load import StepTemplate


def made(command: str, one: Target | None = None, **changes: Any) -> Action:
    """Return a vendor's step whose command template is this text."""
    target = one or ascend("npu", batch=2, extra_args=("--a", "b c"))
    chain = toolchain("ascend")
    step: StepTemplate = replace(
        chain.steps["compile"], command=Template(name="ascend/x.cmd.j2", text=command), **changes
    )
    chain = replace(chain, steps={**chain.steps, "compile": step})
    recipe = chain.recipes["fp16"]
    ref = Ref(action="export", output="model", name="model.onnx")
    return vendor_step(manifest(target), target, chain, recipe, recipe.steps[0], lambda _: ref)


@pytest.mark.parametrize(
    ("template", "argv"),
    [
        (
            "atc --m={{ inputs.model }} {{ outputs.model }}",
            ("atc", "--m=in/model/model.onnx", "out/model.om"),
        ),
        ("atc {{ options.soc_version }} {{ extra_args }}", ("atc", "Ascend310P3", "--a", "b c")),
        ("atc {{ target }} {{ recipe }} {{ precision }}", ("atc", "npu", "fp16", "fp16")),
        ("atc {{ batch }} {{ imgsz }} {{ input_shape }}", ("atc", "2", "320", "320", "2", "3", "320", "320")),
        ("atc {{ model.input }} {{ model.task }} {{ model.classes }}", ("atc", "images", "detect", "2")),
        ("atc {{ quantize.percentile }} {{ calibration.images }}", ("atc", "99.999", "4")),
        ("atc {{ aux['aipp.cfg'] }}", ("atc", "aux/aipp.cfg")),
    ],
)
def test_what_a_template_can_name(template: str, argv: tuple[str, ...]) -> None:
    assert made(template).argv == argv


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ options.soc_version }} --x",
            "x.cmd.j2:1:1: 'Ascend310P3' is no executable of a tool of step 'compile'",
        ),
        (
            "{# x #}\n{% if batch > 1 %}amct{% endif %}{{ '_onnx' }}",
            "x.cmd.j2:2:34: 'amct_onnx' is the tool 'amct_onnx'",
        ),
        (
            "python {{ toolchain_file('toolchain.yaml') }} -- amct_onnx",
            "not among the tools of step 'compile'",
        ),
    ],
)
def test_a_command_starts_tools_of_its_step_only(template: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        made(template, uses=("toolchain.yaml",))
    assert message in str(caught.value)


def test_a_file_of_the_toolchain_goes_along() -> None:
    action = made("python {{ toolchain_file('toolchain.yaml') }}", uses=("toolchain.yaml",))
    assert action.argv == ("python", "in/toolchain/toolchain.yaml")
    tree = action.inputs[-1]
    assert isinstance(tree, TreeInput)
    assert (tree.role, tree.files) == ("toolchain", ("toolchain.yaml",))


def test_a_file_that_the_step_does_not_declare_is_refused() -> None:
    with pytest.raises(ManifestError, match="does not declare it in `uses`"):
        made("python {{ toolchain_file('run.py') }}")


def test_a_variable_that_does_not_exist_is_named() -> None:
    with pytest.raises(ManifestError, match=r"x\.cmd\.j2:1: .*'options.*'soc_versoin'|'soc_versoin'"):
        made("atc {{ options.soc_versoin }}")


def test_a_rendered_file_that_is_blank_is_left_out() -> None:
    assert made("atc").files == ()
    (file,) = made("atc", ascend(options={"aipp": "bgr"})).files
    assert file[0] == "aipp.cfg"
    assert "rbuv_swap_switch: true" in file[1]


def test_limits_of_time_are_the_targets_before_the_toolchains() -> None:
    assert made("atc").timeout == 3600
    assert made("atc", ascend(timeout=60.0)).timeout == 60.0


def test_it_carries_what_its_toolchain_says() -> None:
    action = plan(ascend("npu")).action("npu/compile")
    chain = toolchain("ascend")
    assert action.tools == ("ascend/atc",)
    assert action.success == chain.steps["compile"].success
    assert action.findings == chain.findings
    assert action.env_pass == chain.env_pass
    assert action.outputs[0].magic == "494d4f44"
    assert dict(action.origin)["--soc_version"] == "targets.npu.options.soc_version"


def test_findings_of_an_option_are_for_targets_that_have_it() -> None:
    options = (("soc_version", ("Ascend310P1",)),)
    rule = LogRule(pattern="", id="board", message="mind the board", options=options)
    chain = replace(toolchain("ascend"), findings=(rule,))
    recipe = chain.recipes["fp16"]
    ref = Ref(action="export", output="model", name="model.onnx")
    for soc, wanted in (("Ascend310P1", (rule,)), ("Ascend310P3", ())):
        target = ascend("npu", options={"soc_version": soc})
        found = vendor_step(manifest(target), target, chain, recipe, recipe.steps[0], lambda _: ref)
        assert found.findings == wanted


def test_where_the_toolchain_lies_does_not_count() -> None:
    chain = toolchain("ascend")
    moved = replace(chain, folder=chain.folder / "elsewhere")
    recipe = chain.recipes["fp16"]
    ref = Ref(action="export", output="model", name="model.onnx")
    one = ascend()
    actions = [
        vendor_step(manifest(one), one, c, recipe, recipe.steps[0], lambda _: ref) for c in (chain, moved)
    ]
    assert actions[0] == actions[1]
