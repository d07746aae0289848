"""Every folder below templates/ by itself, and what this project knows of single vendors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.manifest.load import load_manifest
from edgebuild.plan.graph_files import graph_file_paths
from edgebuild.plan.plan import make_plan
from edgebuild.render import file_lookup, render_argv, render_text
from edgebuild.steps.graph_files import graph_variables
from edgebuild.template import VARIABLES
from edgebuild.toolchain.load import load_toolchain, resolve_options, toolchain_names
from tests.unit.templates.options_table import with_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.toolchain.load import Recipe, Toolchain

REPOSITORY = Path(__file__).resolve().parents[3]
SEARCH = [REPOSITORY / "templates"]
NAMES = toolchain_names(SEARCH)

SAMPLES: dict[str, dict[str, Any]] = {
    "ascend": {"soc_version": "Ascend310P3"},
    "cambricon": {"network": "yolov5"},
    "hailo": {"hw_arch": "hailo8"},
    "iree": {"arm_cpu": "cortex-a76"},
    "qnn": {"htp_arch": 73, "soc_model": 43},
    "qualcomm": {"dsp_arch": "v73"},
}
"""A value for every required option, by toolchain."""

NASTY = "a b'\"$(x);\\"


GRAPH = graph_variables(
    {
        "inputs": [{"name": "images", "shape": [4, 3, 320, 640], "dtype": "float32"}],
        "outputs": [{"name": "output0", "shape": [4, 8, 4200], "dtype": "float32"}],
        "groups": {"decode": ["/head/Concat"], "last": ["/head/last/Conv"]},
        "nodes": [
            {"name": "/body/Conv", "type": "Conv", "inputs": ["images"], "outputs": ["body"],
             "float": False, "layer": True, "module": "model.0.conv"},
            {"name": "/head/last/Conv", "type": "Conv", "inputs": ["body"],
             "outputs": ["/head/last/Conv_output_0"], "float": True, "layer": True,
             "module": "model.1.cv2.0.2"},
            {"name": "/head/Concat", "type": "Concat", "inputs": ["/head/last/Conv_output_0"],
             "outputs": ["output0"], "float": True, "layer": False, "module": ""},
        ],
    }
)  # fmt: skip
"""What a file that depends on a graph sees: one node stays quantized, two stay float."""


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
    set_ = {word.lower(): given.pop(word) for word in tuple(given) if word.isupper()}
    roles = next(dict(entry.inputs) for entry in recipe.steps if entry.step == step_name)
    variables: dict[str, Any] = {
        "inputs": {role: f"in/{role}/{role}.onnx" for role in roles}
        | {"calibration": "in/calibration/calibration"},
        "outputs": {output.role: f"out/{output.path}" for output in step.outputs},
        "aux": {path: f"aux/{path}" for path, _ in step.files} | graph_file_paths(step),
        "toolchain_file": file_lookup(step.uses),
        "options": options_of(toolchain, recipe, **given),
        "extra_args": ["--extra=1 2"],
        "target": "t",
        "tools": {tool: {"version": "11.4", "major": 11, "minor": 4} for tool in toolchain.tools},
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
    variables |= set_
    files = {path: render_text(template.text, template.name, variables) for path, template in step.files}
    for file in step.graph_files:
        files[file.path] = render_text(file.template.text, file.template.name, variables | GRAPH)
    argv = render_argv(step.command.text, step.command.name, variables)
    return argv, {path: text for path, text in files.items() if text.strip()}


@pytest.mark.parametrize("name", NAMES)
def test_no_file_of_the_folder_is_forgotten(name: str) -> None:
    toolchain = load_toolchain(name, SEARCH)
    used = {"toolchain.yaml", "README.md"} | (
        {"requirements.txt"} if toolchain.environment.requirements else set()
    )
    for step in toolchain.steps.values():
        used |= {step.command.file, *step.uses}
        used |= {template.file for _, template in step.files}
        used |= {file.template.file for file in step.graph_files}
    for template in filter(None, [toolchain.package_readme, *dict(toolchain.package_files).values()]):
        used.add(template.file)
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


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_lists_every_option(name: str, golden: Callable[[Path, str], None]) -> None:
    toolchain = load_toolchain(name, SEARCH)
    readme = toolchain.folder / "README.md"
    text = with_options(readme.read_text(encoding="utf-8"), toolchain)
    assert not {option for option in toolchain.options if f"| `{option}` |" not in text}
    golden(readme, text)


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
        *("--calibration_config", "in/files/amct.cfg"),
    )
    skipped = [line for line in files["amct.cfg"].splitlines() if line.startswith("skip_layers:")]
    names = ("/head/last/Conv", "/head/Conv", NASTY)
    assert skipped == [f"skip_layers: {json.dumps(name)}" for name in names]
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


# -- Hailo -----------------------------------------------------------------------------------------------


def test_hailo_is_three_documented_commands() -> None:
    argv, _ = render("hailo", "int8", "parse", hw_arch="hailo8l", end_node_names=["/a/Conv", NASTY])
    assert argv == (
        *("hailo", "parser", "onnx", "in/model/model.onnx", "--net-name", "model", "--hw-arch", "hailo8l"),
        *("--har-path", "out/model.har", "--end-node-names", "/a/Conv", NASTY, "-y"),
    )
    argv, files = render("hailo", "int8", "optimize", optimization_level=2, model_script=["a(b)"])
    assert argv == (
        *("hailo", "optimize", "in/har/har.onnx", "--hw-arch", "hailo8"),
        *("--calib-set-path", "in/calibration/calibration/calibration.npy"),
        *("--model-script", "aux/model.alls", "--output-har-path", "out/model_optimized.har"),
    )
    assert [line for line in files["model.alls"].splitlines() if line] == [
        "normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])",
        "model_optimization_flavor(optimization_level=2)",
        "a(b)",
    ]
    argv, _ = render("hailo", "int8", "compile")
    assert argv[:3] == ("hailo", "compiler", "in/har/har.onnx")
    assert argv[-3:] == ("--output-dir", "out", "--extra=1 2")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "[warning] Reducing optimization level to 0, there's less data than the recommended amount",
            ["optimization-lowered", "calibration-small"],
        ),
        ("Parsing failed with recommendations for end node names: ['/a'].", ["hailo-end-nodes"]),
        ("hailo_sdk_client...UnsupportedShuffleLayerError in op x", ["hailo-unsupported"]),
        ("[error] Mapping Failed (allocation time: 13s)", ["hailo-mapping"]),
    ],
)
def test_hailo_explains_what_the_compiler_says(line: str, found: list[str]) -> None:
    rules = load_toolchain("hailo", SEARCH).findings
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == found


# -- NVIDIA TensorRT -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("major", "recipe", "flags"),
    [
        (11, "int8", ()),
        (11, "fp32", ()),
        (11, "autocast", ()),
        (10, "int8", ("--fp16", "--int8")),
        (10, "fp16", ("--fp16",)),
        (8, "int8", ("--fp16", "--int8")),
        (8, "fp32", ()),
    ],
)
def test_tensorrt_chooses_its_arguments_by_version(major: int, recipe: str, flags: tuple[str, ...]) -> None:
    tools = {"trtexec": {"version": f"{major}.1", "major": major, "minor": 1}}
    argv, _ = render("tensorrt", recipe, "compile", TOOLS=tools)
    assert argv == (
        *("trtexec", "--onnx=in/model/model.onnx", "--saveEngine=out/model.engine", *flags, "--extra=1 2"),
    )


def test_tensorrt_options_appear_as_the_documented_flags() -> None:
    tools = {"trtexec": {"version": "10.3", "major": 10, "minor": 3}}
    argv, _ = render("tensorrt", "fp16", "compile", TOOLS=tools, workspace=2048, dla_core=1)
    assert argv[4:7] == ("--memPoolSize=workspace:2048", "--useDLACore=1", "--allowGPUFallback")
    argv, _ = render("tensorrt", "autocast", "autocast")
    assert argv[:4] == ("python", "-m", "modelopt.onnx.autocast", "--onnx_path")
    # run.py hands over float32, so the types of inputs and outputs have to stay.
    assert argv[5:] == (
        "--output_path",
        "out/model_fp16.onnx",
        "--low_precision_type",
        "fp16",
        "--keep_io_types",
    )


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[01/01/2026-00:00:00] [E] Unknown option: --int8 ", "trt-unknown-option"),
        (
            "Assertion failed: TRT only supports symmetric quantization - zeroPt must be all zeros",
            "trt-asymmetric",
        ),
        ("[E] Error[3]: x: only activation types allowed as input to this layer.", "trt-integer-bias"),
        ("[09/02/2024-17:35:22] [E] Failed to parse onnx file", "trt-parse"),
    ],
)
def test_tensorrt_explains_what_trtexec_says(line: str, found: str) -> None:
    rules = load_toolchain("tensorrt", SEARCH).findings
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == [found]


# -- Qualcomm --------------------------------------------------------------------------------------------


def test_qualcomm_is_three_documented_commands() -> None:
    argv, _ = render("qualcomm", "int8", "convert")
    assert argv == (
        *("qairt-converter", "--input_network", "in/model/model.onnx", "--output_path", "out/model.dlc"),
    )
    assert render("qualcomm", "fp16", "convert")[0][-2:] == ("--float_bitwidth", "16")
    argv, _ = render("qualcomm", "int8", "quantizer", act_bitwidth=16)
    assert argv == (
        *("qairt-quantizer", "--input_dlc", "in/model/model.onnx"),
        *(
            "--input_list",
            "in/calibration/calibration/input_list.txt",
            "--output_dlc",
            "out/model_quantized.dlc",
        ),
        *("--act_bitwidth", "16", "--weights_bitwidth", "8", "--bias_bitwidth", "32"),
        *("--act_quantizer_calibration", "min-max", "--use_per_channel_quantization"),
    )
    argv, files = render("qualcomm", "int8", "context", dsp_arch="v68", soc_id=35, vtcm_mb=4)
    assert argv == (
        *("qnn-context-binary-generator", "--model", "libQnnModelDlc.so", "--backend", "libQnnHtp.so"),
        *("--dlc_path", "in/model/model.onnx", "--binary_file", "model", "--output_dir", "out"),
        *("--config_file", "aux/config.json", "--extra=1 2"),
    )
    assert json.loads(files["config.json"])["backend_extensions"]["config_file_path"] == "aux/htp.json"
    assert json.loads(files["htp.json"]) == {
        "graphs": [{"graph_names": ["model"], "vtcm_mb": 4}],
        "devices": [{"dsp_arch": "v68", "soc_id": 35}],
    }


def test_floating_point_is_refused_for_hexagon_v68() -> None:
    qualcomm = load_toolchain("qualcomm", SEARCH)
    fp16 = qualcomm.recipes["fp16"]
    _, problems = resolve_options(
        qualcomm, {"dsp_arch": "v68"}, lambda name: ("m.yaml", 1, 1, name), recipe=fp16
    )
    assert [problem.message for problem in problems] == ["'v68' does not go with recipe 'fp16'"]


def test_sixteen_bits_come_with_what_they_need_of_the_image_size() -> None:
    (rule,) = [rule for rule in load_toolchain("qualcomm", SEARCH).findings if rule.options]
    assert (rule.id, rule.options) == ("odd-maps", (("act_bitwidth", (16,)),))
    assert "multiple of 128" in rule.hint


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
