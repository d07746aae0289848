"""Every folder below templates/ by itself, and what this project knows of single vendors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.load import load_manifest
from edgebuild.plan import make_plan
from edgebuild.render import (
    PACKAGE_VARIABLES,
    VARIABLES,
    file_lookup,
    lint_command,
    lint_text,
    render_argv,
    render_text,
)
from edgebuild.toolchain import load_toolchain, resolve_options, toolchain_names

if TYPE_CHECKING:
    from edgebuild.toolchain import Recipe, Toolchain

REPOSITORY = Path(__file__).resolve().parents[2]
SEARCH = [REPOSITORY / "templates"]
NAMES = toolchain_names(SEARCH)

SAMPLES = {
    "ascend": {"soc_version": "Ascend310P3"},
    "cambricon": {"network": "yolov5"},
}
"""A value for every required option, by toolchain."""

NASTY = "a b'\"$(x);\\"


def recipes() -> list[tuple[str, str]]:
    return [(name, recipe) for name in NAMES for recipe in load_toolchain(name, SEARCH).recipes]


def options_of(toolchain: Toolchain, recipe: Recipe, **given: Any) -> dict[str, Any]:
    required = {*toolchain.required_options, *recipe.required_options}
    sample = {name: value for name, value in SAMPLES.get(toolchain.name, {}).items() if name in required}
    values, problems = resolve_options(
        toolchain, {**sample, **given}, lambda name: ("m", 1, 1, name), recipe=recipe
    )
    assert not problems, problems
    return dict(values)


def render(
    name: str, recipe_name: str, step_name: str, **given: Any
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Render one step: its argv, and its files that are not blank. Words in capitals set variables."""
    toolchain = load_toolchain(name, SEARCH)
    recipe = toolchain.recipes[recipe_name]
    step = toolchain.steps[step_name]
    roles = next(dict(entry.inputs) for entry in recipe.steps if entry.step == step_name)
    variables: dict[str, Any] = {
        "inputs": {role: f"in/{role}/{role}.onnx" for role in roles}
        | {"calibration": "in/calibration/calibration"},
        "outputs": {output.role: f"out/{output.path}" for output in step.outputs},
        "aux": {path: f"aux/{path}" for path, _ in step.files},
        "toolchain_file": file_lookup(step.uses),
        "options": options_of(toolchain, recipe, **given),
        "extra_args": ["--extra=1 2"],
        "target": "t",
        "tools": {
            tool.name: {"version": "11.4", "major": 11, "minor": 4} for tool in toolchain.tools.values()
        },
        "recipe": recipe.name,
        "precision": recipe.precision,
        "batch": 4,
        "imgsz": [320, 640],
        "input_shape": [4, 3, 320, 640],
        "model": {"input": "images", "task": "detect", "classes": 4},
        "quantize": {"per_channel": True, "method": "minmax", "keep_float": ["decode"]},
        "calibration": {"images": 64},
    }
    assert variables.keys() == VARIABLES
    files = {path: render_text(template.text, template.name, variables) for path, template in step.files}
    argv = render_argv(step.command.text, step.command.name, variables)
    return argv, {path: text for path, text in files.items() if text.strip()}


@pytest.mark.parametrize("name", NAMES)
def test_the_templates_hold_no_quotes_shell_or_unknown_variables(name: str) -> None:
    for step in load_toolchain(name, SEARCH).steps.values():
        assert lint_command(step.command.text, step.command.name) == []
        for _, template in step.files:
            assert lint_text(template.text, template.name) == []
    toolchain = load_toolchain(name, SEARCH)
    for template in filter(None, [toolchain.package_readme, *dict(toolchain.package_files).values()]):
        assert lint_text(template.text, template.name, PACKAGE_VARIABLES) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_file_of_the_folder_is_forgotten(name: str) -> None:
    toolchain = load_toolchain(name, SEARCH)
    used = {"toolchain.yaml", "README.md", toolchain.requirements}
    for step in toolchain.steps.values():
        used |= {step.command.name.partition("/")[2], *step.uses}
        used |= {template.name.partition("/")[2] for _, template in step.files}
    for template in filter(None, [toolchain.package_readme, *dict(toolchain.package_files).values()]):
        used.add(template.name.partition("/")[2])
    for recipe in toolchain.recipes.values():
        used |= {measured.runtime for measured in (recipe.evaluate, recipe.benchmark) if measured}
    assert {path.name for path in toolchain.folder.iterdir() if path.is_file()} <= used


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_says_what_is_offered_and_what_its_limits_are(name: str) -> None:
    toolchain = load_toolchain(name, SEARCH)
    text = (toolchain.folder / "README.md").read_text(encoding="utf-8")
    assert not {recipe for recipe in toolchain.recipes if f"`{recipe}`" not in text}
    assert re.search(r"^## .*Limits", text, re.MULTILINE)
    assert re.search(r"[Ss]ource", text)


@pytest.mark.parametrize(("name", "recipe"), recipes())
def test_every_recipe_renders_with_its_defaults(name: str, recipe: str) -> None:
    toolchain = load_toolchain(name, SEARCH)
    for entry in toolchain.recipes[recipe].steps:
        argv, files = render(name, recipe, entry.step)
        assert not [word for word in argv if word.startswith("/")]
        assert not [path for path in re.findall(r"aux/([^\s,;:]+)", " ".join(argv)) if path not in files]


@pytest.mark.parametrize(("name", "recipe"), recipes())
def test_free_text_stays_one_word(name: str, recipe: str) -> None:
    toolchain = load_toolchain(name, SEARCH)
    last = toolchain.recipes[recipe].steps[-1:]
    assert all("--extra=1 2" in render(name, recipe, entry.step)[0] for entry in last)


# -- Huawei Ascend ---------------------------------------------------------------------------------------


def test_ascend_fp16_is_the_documented_command() -> None:
    argv, files = render("ascend", "fp16", "compile")
    assert argv == (
        "atc",
        "--framework=5",
        "--model=in/model/model.onnx",
        "--output=out/model",
        "--soc_version=Ascend310P3",
        "--input_format=NCHW",
        "--input_shape=images:4,3,320,640",
        "--log=error",
        "--extra=1 2",
    )
    assert files == {}


def test_ascend_options_appear_as_the_documented_flags() -> None:
    argv, files = render(
        "ascend",
        "fp16",
        "compile",
        soc_version="Ascend310P1",
        precision_mode_v2="mixed_float16",
        op_select_implmode="high_precision",
        output_type="FP16",
        out_nodes=["/model.23/cv2.0/Conv:0", "output0"],
        aipp="bgr",
        log="null",
    )
    assert argv[4:] == (
        "--soc_version=Ascend310P1",
        "--input_format=NCHW",
        "--input_shape=images:4,3,320,640",
        "--precision_mode_v2=mixed_float16",
        "--op_select_implmode=high_precision",
        "--output_type=FP16",
        "--out_nodes=/model.23/cv2.0/Conv:0;output0",
        "--insert_op_conf=aux/aipp.cfg",
        "--log=null",
        "--extra=1 2",
    )
    text = files["aipp.cfg"]
    assert "src_image_size_w: 640\n  src_image_size_h: 320\n" in text
    assert "rbuv_swap_switch: true" in text


def test_ascend_int8_calibrates_and_compiles_the_deploy_model() -> None:
    argv, files = render(
        "ascend", "int8", "amct", skip_layers=["/head/Conv", NASTY], data_types_flag="data_type"
    )
    assert argv == (
        *("amct_onnx", "calibration"),
        *("--model", "in/model/model.onnx"),
        *("--save_path", "out/model"),
        *("--input_shape", "images:4,3,320,640"),
        *("--data_dir", "in/calibration/calibration"),
        *("--data_type", "float32"),
        *("--batch_num", "16"),
        *("--calibration_config", "aux/amct.cfg"),
    )
    assert 'skip_layers: "/head/Conv"\n' in files["amct.cfg"]
    assert "channel_wise: true" in files["amct.cfg"]
    recipe = load_toolchain("ascend", SEARCH).recipes["int8"]
    assert dict(recipe.steps[1].inputs) == {"model": "amct.deploy_model"}
    assert recipe.evaluate
    assert (recipe.evaluate.artifact, recipe.evaluate.evidence) == ("amct.fake_quant_model", "proxy")


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        (
            "fp16",
            {"precision_mode": "force_int8"},
            "the values are force_fp16, force_fp32, cube_fp16in_fp32out",
        ),
        ("fp16", {"precision_mode": "force_int8"}, "INT8 comes from `recipe: int8`"),
        ("fp16", {"precision_mode_v2": "int8"}, "INT8 comes from `recipe: int8`"),
        ("fp16", {"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}, "exclude each other"),
        ("fp16", {"soc_version": "Ascend310P"}, "such as Ascend310P3"),
        ("fp16", {"soc_version": "310P3"}, "such as Ascend310P3"),
        ("int8", {"precision_mode": "force_fp32"}, "does not go with recipe 'int8'"),
        ("int8", {"precision_mode_v2": "origin"}, "does not go with recipe 'int8'"),
        ("int8", {"op_select_implmode": "high_precision"}, "does not go with recipe 'int8'"),
        ("int8", {"dynamic_batch_size": "1,2"}, "has no option 'dynamic_batch_size'"),
    ],
)
def test_ascend_refuses_what_the_tools_would(recipe: str, options: dict[str, Any], message: str) -> None:
    toolchain = load_toolchain("ascend", SEARCH)
    given = {"soc_version": "Ascend310P3", **options}
    _, problems = resolve_options(
        toolchain, given, lambda name: ("m.yaml", 1, 1, name), recipe=toolchain.recipes[recipe]
    )
    assert len(problems) == 1
    assert message in str(problems[0])


@pytest.mark.parametrize("soc", ["Ascend310", "Ascend310P1", "Ascend310P3", "Ascend310B4", "Ascend910_9391"])
def test_ascend_knows_the_spelling_of_chips(soc: str) -> None:
    toolchain = load_toolchain("ascend", SEARCH)
    assert resolve_options(toolchain, {"soc_version": soc}, lambda name: ("m", 1, 1, name))[1] == ()


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("E10001: Value [force_int8] for parameter [--precision_mode] is invalid.", "atc-bad-value"),
        ("E10007: [PID: 10490] 2025-03-18-09:02:18 [--framework] is required.", "atc-missing-argument"),
        ("E10054: The requied parameter [--model] for ATC is empty.", "atc-missing-argument"),
        ("E19010: No parser is registered for Op [x, optype [ai.onnx::23::Div]].", "atc-no-parser"),
        ("EZ3003: No supported Ops kernel and engine are found for [X], optype [X].", "atc-no-kernel"),
        ("E40000: Failed to import te.platform.log_util.", "atc-python-environment"),
        ("EC0010: [PID: 1] Failed to import Python module [decorator].", "atc-python-module"),
        ("EZ9999: Inner Error!", "atc-internal"),
        ("libascend_hal.so: cannot open shared object file: No such file", "atc-no-driver"),
        ("[utils_acl.cpp:133]input image size[4] is not equal to model input size[8]", "amct-data-size"),
    ],
)  # fmt: skip
def test_ascend_explains_the_vendor_s_errors(line: str, finding: str) -> None:
    rules = load_toolchain("ascend", SEARCH).findings
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == [finding]
    assert all(rule.hint for rule in rules)


# -- Cambricon -------------------------------------------------------------------------------------------


def test_cambricon_cncc_is_the_line_of_the_design() -> None:
    argv, _ = render("cambricon", "cncc", "cncc", quantize="int16")
    assert argv == (
        "cncc",
        "--model=in/model/model.onnx",
        "--output=out/model.cambricon",
        "--arch=mlu270",
        "--quantize=int16",
        "--enable_parallel",
        "--extra=1 2",
    )
    assert "--enable_parallel" not in render("cambricon", "cncc", "cncc", enable_parallel=False)[0]


def test_cambricon_genoff_is_the_line_of_the_examples() -> None:
    argv, _ = render("cambricon", "genoff", "genoff", arch="mlu220", core_number=16)
    assert argv == (
        "genoff.py",
        *("-model", "yolov5", "-mname", "out/model", "-mcore", "MLU220", "-modelzoo", "in/weights"),
        *("-core_number", "16", "-batch_size", "4", "-in_height", "320", "-in_width", "640"),
        *("-half_input", "1", "-input_format", "0", "-fake_device", "1", "-quantized_mode", "1"),
        "--extra=1 2",
    )


def test_cambricon_says_that_cncc_is_a_c_compiler() -> None:
    rules = load_toolchain("cambricon", SEARCH).findings
    line = "cncc: error: unknown argument: '--model=in/model/model.onnx'"
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == ["cncc-is-a-c-compiler"]


# -- The manifests of the systems ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "manifests").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_manifest_fits_its_toolchains(path: Path, tmp_path: Path) -> None:
    # The plan does not look into the weights, so it need not wait for them either.
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    manifest = load_manifest(path, overrides=[f"model.weights={weights}"])
    toolchains = {target.toolchain: load_toolchain(target.toolchain, SEARCH) for target in manifest.targets}
    plan = make_plan(manifest, toolchains, cpu="x86-vnni")
    assert {name for action in plan.actions for name in action.targets} >= {t.name for t in manifest.targets}
