from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.errors import ManifestError, UsageError
from edgebuild.steps._readme import MEMBERS
from edgebuild.steps.calibration_format import FORMATS
from edgebuild.toolchain.load import load_toolchain, resolve_options, toolchain_names
from edgebuild.toolchain.schema import schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.errors import Problem
    from edgebuild.toolchain.load import Toolchain

ACME: dict[str, Any] = {
    "toolchain": 1,
    "title": "Acme",
    "links": ["https://acme.example"],
    "tools": {
        "acmec": {
            "executable": "acmec",
            "version": {"command": ["--version"], "regex": r"acmec (\S+)"},
            "supported": ">=2,<4",
            "get": "Buy it\nsomewhere.",
        }
    },
    "environment": {"pass": ["ACME_HOME"]},
    "options": {
        "chip": {"type": "string", "enum": ["a1", "a2"], "description": "The chip."},
        "mode": {
            "type": "string",
            "enum": ["fast", "exact"],
            "description": "How.",
            "hint": "there is no third way",
        },
        "level": {"type": "integer", "minimum": 0, "maximum": 3, "default": 1, "description": "Effort."},
        "scale": {"type": "number", "description": "Factor."},
        "debug": {"type": "boolean", "default": False, "description": "Talk.", "recipes": ["int8"]},
        "cut": {"type": "array", "items": {"type": "string", "pattern": "[a-z]+"}, "description": "Nodes."},
        "rest": {"type": "array", "description": "Anything."},
    },
    "required_options": ["chip"],
    "exclusive": [["mode", "scale"]],
    "limits": {"opset": [11, 17], "batch": [1], "tasks": ["detect"]},
    "calibration": {"format": "npy", "minimum": 2, "useful_maximum": 9},
    "recipes": {
        "fp16": {
            "title": "Float",
            "default": True,
            "precision": "fp16",
            "steps": [{"step": "compile", "inputs": {"model": "onnx"}}],
            "artifact": "compile.model",
            "evaluate": {"artifact": "onnx", "evidence": "proxy"},
        },
        "int8": {
            "title": "Int",
            "precision": "int8",
            "steps": [
                {"step": "quantize", "inputs": {"model": "onnx", "calibration": "calibration"}},
                {"step": "compile", "inputs": {"model": "quantize.model"}},
            ],
            "artifact": "compile.model",
            "evaluate": {"evidence": "emulator", "runtime": "runtime.py"},
            "benchmark": {"artifact": "quantize.model", "evidence": "host"},
            "required_options": ["mode"],
            "refuse": {"mode": ["exact"]},
        },
    },
    "steps": {
        "quantize": {
            "command": "quantize.cmd.j2",
            "tools": ["acmec"],
            "uses": ["run.py"],
            "outputs": {"model": {"path": "q.onnx", "magic": "08"}, "log": {"path": "logs", "tree": True}},
        },
        "compile": {
            "command": "compile.cmd.j2",
            "tools": ["acmec"],
            "files": {"cfg/a.json": "a.json.j2"},
            "outputs": {"model": {"path": "m.acme"}},
            "success": {"log_has": ["^Done$"], "log_lacks": ["FAILED"]},
            "timeout": 60,
            "retries": 1,
            "env": {"B": "2", "A": "1"},
        },
    },
    "findings": [{"pattern": "CPU", "id": "cpu-fallback"}],
}

FILES = ("quantize.cmd.j2", "compile.cmd.j2", "a.json.j2", "run.py", "runtime.py")


def write(root: Path, document: object, *, name: str = "acme") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for file in FILES:
        text = "acmec\n" if file.endswith(".cmd.j2") else f"text of {file}\n"
        (folder / file).write_text(text, encoding="utf-8")
    text = document if isinstance(document, str) else json.dumps(document, indent=1)
    (folder / "toolchain.yaml").write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def acme(tmp_path: Path) -> Toolchain:
    return load_toolchain("acme", [write(tmp_path, ACME)])


def refused(root: Path, document: object) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        load_toolchain("acme", [write(root, document)])
    return caught.value.problems


def place(name: str) -> tuple[str, int, int, str]:
    return ("m.yaml", 7, 3, f"targets.t.options.{name}".rstrip("."))


def problems(toolchain: Toolchain, options: dict[str, Any], recipe: str = "fp16") -> list[str]:
    _, found = resolve_options(toolchain, options, place, recipe=toolchain.recipes[recipe])
    return [str(problem) for problem in found]


def test_everything_in_the_file_becomes_a_value(acme: Toolchain) -> None:
    assert acme.name == "acme"
    assert acme.tools["acmec"].get == "Buy it somewhere."
    assert acme.tools["acmec"].version
    assert acme.tools["acmec"].version.command == ("--version",)
    assert acme.env_pass == ("ACME_HOME",)
    assert acme.limits.opset == (11, 17)
    assert acme.limits.batch == (1, None)
    assert (acme.limits.dynamic, acme.limits.end2end) == (False, True)
    assert acme.calibration
    assert acme.calibration.useful_maximum == 9
    assert acme.default_recipe.name == "fp16"
    assert acme.default_recipe.benchmark is None
    int8 = acme.recipes["int8"]
    assert int8.evaluate
    assert (int8.evaluate.artifact, int8.evaluate.runtime) == ("compile.model", "runtime.py")
    assert int8.sources == ("onnx", "calibration", "quantize.model", "compile.model")
    step = acme.steps["compile"]
    assert step.command.name == str(acme.folder / "compile.cmd.j2")
    assert (step.command.file, step.command.text) == ("compile.cmd.j2", "acmec\n")
    assert step.files[0][0] == "cfg/a.json"
    assert step.env == (("A", "1"), ("B", "2"))
    assert (step.success.log_has, step.timeout, step.retries) == (("^Done$",), 60, 1)
    assert acme.steps["quantize"].outputs[1].tree
    assert acme.findings[0].level == "warning"


def test_where_a_toolchain_lies_is_not_part_of_its_identity(tmp_path: Path) -> None:
    first, second = (load_toolchain("acme", [write(tmp_path / place, ACME)]) for place in ("a", "b"))
    assert first == second
    assert first.folder != second.folder


def test_the_first_folder_that_has_it_wins(tmp_path: Path) -> None:
    own = write(tmp_path / "own", {**ACME, "title": "Own"})
    bundled = write(tmp_path / "bundled", ACME)
    write(bundled, ACME, name="other")
    assert load_toolchain("acme", [tmp_path / "absent", own, bundled]).title == "Own"
    assert toolchain_names([own, bundled, tmp_path / "absent"]) == ("acme", "other")


@pytest.mark.parametrize("name", ["acmee", "../acme", "", "acme/..", ".", "/etc"])
def test_an_unknown_toolchain_lists_the_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there is no toolchain") as caught:
        load_toolchain(name, [write(tmp_path, ACME)])
    assert "known: acme" in caught.value.hint


def test_a_near_miss_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'acme'"):
        load_toolchain("acmee", [write(tmp_path, ACME)])


def test_an_unknown_key_is_refused_where_it_stands(tmp_path: Path) -> None:
    text = json.dumps(ACME, indent=1).replace('"title": "Acme",', '"title": "Acme",\n  "titel": "x",', 1)
    (problem,) = refused(tmp_path, text)
    assert (problem.line, problem.column, problem.path) == (4, 3, "titel")
    assert "unknown key 'titel', did you mean 'title'?" in problem.message


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path; None takes it away."""
    holder: Any = document
    *parts, last = path.split(".")
    for part in parts:
        holder = holder[int(part)] if part.isdecimal() else holder[part]
    if value is None:
        del holder[last]
    else:
        holder[int(last) if last.isdecimal() else last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("toolchain", 2, "expected 1, got 2"),
        ("tools.acmec.version", {"command": ["-v"]}, "command and regex"),
        ("tools.acmec.executable", "/usr/bin/acmec", "is not allowed; use "),
        ("tools.acmec.supported", "2.x", "is not a comparison"),
        ("tools.acmec.version.regex", "(", "not a regular expression"),
        ("options.level.default", 4, "above the greatest value 3"),
        ("options.debug.recipes", ["int4"], "no recipe 'int4'"),
        ("required_options", ["chop"], "did you mean 'chip'"),
        ("limits.tasks.0", "detekt", "is none of "),
        ("limits.end2end", "no", "expected boolean"),
        ("limits.opset", [1, 2, 3], "too long"),
        ("calibration.format", "jpeg", "is none of "),
        ("recipes.fp16.steps.0.step", "compil", "did you mean 'compile'"),
        ("recipes.int8.steps.1.inputs.model", "compile.model", "no source 'compile.model'"),
        ("recipes.fp16.artifact", "weights", "no artifact 'weights'"),
        ("recipes.fp16.evaluate.evidence", "device", "is none of "),
        ("recipes.int8.benchmark.artifact", "quantize.modle", "did you mean 'quantize.model'"),
        ("recipes.int8.refuse", {"mood": ["x"]}, "did you mean 'mode'"),
        ("steps.compile.command", "other.cmd.j2", "no file 'other.cmd.j2'"),
        ("steps.compile.command", "compile.sh", "is not allowed; use "),
        ("steps.quantize.uses.0", "runn.py", "did you mean 'run.py'"),
        ("steps.quantize.uses.0", "../run.py", "is not allowed; use "),
        ("steps.compile.files", {"../a": "a.json.j2"}, "is not allowed; use "),
        ("steps.compile.outputs.model.path", "/m", "is not allowed; use "),
        ("steps.compile.outputs.model.path", "a/../../m", "is not allowed; use "),
        ("steps.compile.outputs.model.path", "*.om", "is not allowed; use "),
        ("steps.compile.outputs.model.magic", "0x08", "is not allowed; use "),
        ("steps.compile.outputs", {}, "non-empty"),
        ("steps.compile.tools", ["acme"], "did you mean 'acmec'"),
        ("steps.compile.success.log_has.0", "(", "not a regular expression"),
        ("steps.unused", ACME["steps"]["compile"], "no recipe uses this step"),
        ("steps.verdict", ACME["steps"]["compile"], "edgebuild has a step of this name itself"),
        ("findings.0.pattern", "[", "not a regular expression"),
        ("findings.0.options", {"moode": ["a"]}, "did you mean 'mode'"),
        ("steps.compile.outputs.model.holds", ["a"], "it is a directory's (`tree: true`) rule"),
        ("steps.compile.outputs.model.matches", "(", "not a regular expression"),
        ("options.cut.items.pattern", "(", "not a regular expression"),
        ("tools.acmec.version.regex", "AcmeC", "has no group"),
        ("limits.opset", [17, 11], "[17, 11]: the least comes first"),
        ("limits.batch", [4, 1], "[4, 1]: the least comes first"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(tmp_path: Path, path: str, value: Any, message: str) -> None:
    document = copy.deepcopy(ACME)
    put(document, path, value)
    found = [problem for problem in refused(tmp_path, document) if problem.path == path]
    assert found
    assert message in found[0].message
    assert found[0].line > 0


def test_texts_have_no_mean(tmp_path: Path) -> None:
    rules = [{"pattern": "(?P<firmware>.*)", "take": "mean"}, {"pattern": "(?P<power_w>.*)", "take": "mean"}]
    document = {**copy.deepcopy(ACME), "device": {"health": {"acme-smi": rules}}}
    found = [(problem.path, problem.message) for problem in refused(tmp_path, document)]
    assert found == [("device.health.acme-smi.0.take", "firmware is a text, which has no mean")]


@pytest.mark.parametrize(
    ("path", "value", "where", "message"),
    [
        ("links", None, "", "'links' is missing"),
        ("calibration", None, "recipes.int8.steps.0.inputs.calibration", "declares no `calibration`"),
        ("recipes.int8.default", True, "recipes", "exactly one recipe"),
        ("exclusive", [["mode", "scal"]], "exclusive.0", "did you mean 'scale'"),
        (
            "recipes.int8.benchmark",
            {"artifact": "quantize.model", "estimate": "acmec"},
            "recipes.int8.benchmark.estimate",
            "there is no tool of device.estimate 'acmec'",
        ),
        (
            "recipes.fp16.steps.0.inputs",
            {"toolchain": "onnx"},
            "recipes.fp16.steps.0.inputs.toolchain",
            "own",
        ),
        ("tools.acmec.version", {"command": ["-v"], "regx": "y"}, "tools.acmec.version.regx", "'regex'"),
        ("options.extra_args", {"type": "array", "description": "x"}, "options", "extra_args"),
        ("tools.acmec.version", None, "tools.acmec.supported", "a range needs a version"),
        ("tools.acmec.executable", None, "tools.acmec.version.command", "needs an executable"),
        (
            "recipes.fp16.refuse",
            {"chip": ["a9"]},
            "recipes.fp16.refuse.chip.0",
            "never has it: 'a9' does not",
        ),
        ("findings.0.options", {"level": [7]}, "findings.0.options.level.0", "option 'level' never has it"),
        (
            "steps.quantize.outputs.log.path",
            "q.onnx",
            "steps.quantize.outputs.log.path",
            "'q.onnx' is the same as 'q.onnx'",
        ),
        ("steps.quantize.outputs.log.path", "q.onnx/log", "steps.quantize.outputs.log.path", "is below"),
        ("steps.quantize.outputs.model.path", "logs/q.onnx", "steps.quantize.outputs.log.path", "is above"),
        ("package", {"files": {"a": "a.json.j2", "a/b": "a.json.j2"}}, "package.files.a/b", "is below 'a'"),
        (
            "steps.quantize.files",
            {"x.json": {"template": "a.json.j2", "graph": "calibration"}},
            "steps.quantize.files.x.json.graph",
            "the input 'calibration' is 'calibration', which is no ONNX file",
        ),
    ],
)
def test_names_that_do_not_agree_are_refused(
    tmp_path: Path, path: str, value: Any, where: str, message: str
) -> None:
    document = copy.deepcopy(ACME)
    put(document, path, value)
    found = [p for p in refused(tmp_path, document) if p.path == where and message in p.message]
    assert found
    assert found[0].line > 0 or not where


def test_a_graph_may_be_that_of_an_onnx_which_a_step_made(tmp_path: Path) -> None:
    document = copy.deepcopy(ACME)
    document["steps"]["compile"]["files"] = {"x.json": {"template": "a.json.j2", "graph": "model"}}
    assert load_toolchain("acme", [write(tmp_path / "onnx", document)]).steps["compile"].graph_files
    document["steps"]["quantize"]["outputs"]["model"]["path"] = "q.bin"
    (problem,) = refused(tmp_path / "other", document)
    assert "the input 'model' is 'quantize.model', which is no ONNX file" in problem.message


@pytest.mark.parametrize("name", [*MEMBERS, "README.md", "readme.md", "device.py", "shapes.py", "artifact/x"])
def test_what_every_package_has_is_refused(tmp_path: Path, name: str) -> None:
    document = {**copy.deepcopy(ACME), "package": {"files": {name: "a.json.j2"}}}
    (problem,) = refused(tmp_path, document)
    assert "every package has its own" in problem.message
    assert problem.line > 0


def acmes(tmp_path: Path, *, files: Mapping[str, str | bytes] = {}, **values: Any) -> tuple[str, ...]:
    """Return what is wrong with the templates of the folder, from where it lies."""
    document = copy.deepcopy(ACME)
    for path, value in values.items():
        put(document, path.replace("__", "."), value)
    root = write(tmp_path, document)
    for file, content in files.items():
        (root / "acme" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        load_toolchain("acme", [root])
    except ManifestError as error:
        return tuple(str(problem).removeprefix(f"{root / 'acme'}/") for problem in error.problems)
    return ()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("compile.cmd.j2", "", "compile.cmd.j2: is empty; it holds a command line"),
        ("compile.cmd.j2", b"acmec\n --x=\xff", "compile.cmd.j2:2:6: is not UTF-8 text (byte 0xff)"),
        ("a.json.j2", b"\xe4", "a.json.j2:1:1: is not UTF-8 text (byte 0xe4)"),
        ("a.json.j2", "{% include 'x' %}", "a.json.j2:1:4: the tag 'include' is not allowed"),
        ("a.json.j2", "{{ float_nodes }}", "a.json.j2:1:4: a step's template has no 'float_nodes'"),
        (
            "compile.cmd.j2",
            "\n acmce --x",
            "compile.cmd.j2:2:2: 'acmce' is no executable of a tool of step 'compile'",
        ),
        ("compile.cmd.j2", "acmce", "did you mean 'acmec'?; a command begins with acmec or python"),
        (
            "compile.cmd.j2",
            "FOO=1 acmec",
            "'FOO=1' is no executable of a tool of step 'compile'; a command begins",
        ),
        ("compile.cmd.j2", "FOO=1 acmec", "variables belong in `env`"),
        ("compile.cmd.j2", "cd out", "compile.cmd.j2:1:1: 'cd' is no executable of a tool"),
        ("compile.cmd.j2", "python3 x.py", "did you mean 'python'?"),
        ("compile.cmd.j2", "{% if batch > 1 %}acme x {% endif %}acmec", "compile.cmd.j2:1:19: 'acme'"),
        ("compile.cmd.j2", "acmec --x=/opt/acme", "compile.cmd.j2:1:11: the absolute path '/opt/acme'"),
    ],
)
def test_a_wrong_template_is_refused_when_the_folder_is_read(
    tmp_path: Path, file: str, content: str | bytes, message: str
) -> None:
    (text,) = acmes(tmp_path, files={file: content})
    assert message in text


def test_the_program_of_a_command_is_one_of_its_step_s_tools(tmp_path: Path) -> None:
    (text,) = acmes(tmp_path, steps__compile__tools=[])
    assert text.startswith("compile.cmd.j2:1:1: 'acmec' is the tool 'acmec', which is not among the tools of")
    assert "add it to steps.compile.tools" in text


def test_an_image_has_the_same_paths_everywhere(tmp_path: Path) -> None:
    command = {"compile.cmd.j2": "python /opt/acme/run.py"}
    assert acmes(tmp_path, files=command, environment__image="acme:1") == ()


def test_a_package_s_template_has_no_inputs(tmp_path: Path) -> None:
    document = copy.deepcopy(ACME)
    document["package"] = {"readme": "a.json.j2"}
    document["steps"]["compile"]["files"] = {}
    root = write(tmp_path, document)
    (root / "acme/a.json.j2").write_text("Run\n{{ inputs.model }}", encoding="utf-8")
    with pytest.raises(
        ManifestError, match=r"j2:2:4: a package's template has no 'inputs' \(there are artifact"
    ):
        load_toolchain("acme", [root])


def test_templates_are_called_by_a_path_that_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "chips", ACME)
    monkeypatch.chdir(tmp_path)
    assert load_toolchain("acme", [root]).steps["compile"].command.name == "chips/acme/compile.cmd.j2"


def test_what_a_recipe_refuses_holds_for_defaults_too(tmp_path: Path) -> None:
    document = copy.deepcopy(ACME)
    document["recipes"]["fp16"]["refuse"] = {"level": [1]}
    toolchain = load_toolchain("acme", [write(tmp_path, document)])
    (text,) = problems(toolchain, {"chip": "a1"})
    assert "targets.t.options.level: level 1, the default, does not go with recipe 'fp16'" in text
    (text,) = problems(toolchain, {"chip": "a1", "level": 1})
    assert "targets.t.options.level: 1 does not go with recipe 'fp16'" in text
    assert not problems(toolchain, {"chip": "a1", "level": 2})


def test_only_what_is_set_excludes_another(tmp_path: Path) -> None:
    document = {**copy.deepcopy(ACME), "exclusive": [["level", "scale"]]}
    document["options"]["scale"]["default"] = 1.5
    toolchain = load_toolchain("acme", [write(tmp_path, document)])
    assert not problems(toolchain, {"chip": "a1"})
    assert not problems(toolchain, {"chip": "a1", "level": 2})
    assert (
        "level and scale exclude each other" in problems(toolchain, {"chip": "a1", "level": 2, "scale": 2})[0]
    )


def test_yaml_traps_are_refused(tmp_path: Path) -> None:
    text = json.dumps(ACME, indent=1).replace('"title"', '"title": "Again",\n "title"', 1)
    assert any("given twice" in problem.message for problem in refused(tmp_path, text))


def test_defaults_are_filled_in_and_absent_options_stay_absent(acme: Toolchain) -> None:
    values, found = resolve_options(acme, {"chip": "a1", "cut": ["x", "y"]}, place)
    assert not found
    assert values == {"chip": "a1", "level": 1, "cut": ("x", "y")}
    assert list(values) == ["chip", "level", "cut"]


def test_options_of_another_recipe_are_absent(acme: Toolchain) -> None:
    values, _ = resolve_options(acme, {"chip": "a1", "mode": "fast"}, place, recipe=acme.recipes["int8"])
    assert values["debug"] is False
    (text,) = problems(acme, {"chip": "a1", "debug": True})
    assert "recipe 'fp16' has no option 'debug'; it belongs to int8" in text


@pytest.mark.parametrize(
    ("options", "recipe", "message"),
    [
        ({}, "fp16", "m.yaml:7:3: targets.t.options: acme needs the option 'chip'; The chip. (a1, a2)"),
        ({"chip": "a1"}, "int8", "needs the option 'mode'"),
        ({"chip": "A1"}, "fp16", "'A1' does not exist; the values are a1, a2, did you mean 'a1'?"),
        ({"chip": "a1", "mode": "fastt"}, "fp16", "the values are fast, exact; there is no third way"),
        ({"chip": "a1", "mode": "exact"}, "int8", "'exact' does not go with recipe 'int8'"),
        ({"chip": "a1", "mode": "fast", "scale": 1.5}, "fp16", "mode and scale exclude each other"),
        ({"chip": "a1", "lvel": 2}, "fp16", "no option 'lvel', did you mean 'level'?; known: chip, mode"),
        ({"chip": "a1", "level": 4}, "fp16", "4 is above the greatest value 3"),
        ({"chip": "a1", "level": -1}, "fp16", "-1 is below the least value 0"),
        ({"chip": "a1", "level": "2"}, "fp16", "'2' is not an integer"),
        ({"chip": "a1", "level": True}, "fp16", "True is not an integer"),
        ({"chip": "a1", "level": 1.0}, "fp16", "1.0 is not an integer"),
        ({"chip": "a1", "scale": "x"}, "fp16", "'x' is not a number"),
        ({"chip": 1}, "fp16", "1 is not a string"),
        ({"chip": "a1", "cut": "x"}, "fp16", "'x' is not an array"),
        ({"chip": "a1", "cut": ["x", "Y"]}, "fp16", "'Y' does not have the form [a-z]+"),
        ({"chip": "a1", "cut": ["x\n"]}, "fp16", "does not have the form"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_said_in_one_line(
    acme: Toolchain, options: dict[str, Any], recipe: str, message: str
) -> None:
    (text,) = problems(acme, options, recipe)
    assert message in text


def test_an_array_without_items_takes_anything(acme: Toolchain) -> None:
    values, found = resolve_options(acme, {"chip": "a1", "rest": [1, ["x"]], "scale": 2}, place)
    assert not found
    assert values["rest"] == (1, ("x",))


def test_the_schema_and_the_step_know_the_same_calibration_formats() -> None:
    known = schema()["properties"]["calibration"]["properties"]["format"]["enum"]
    assert sorted(known) == sorted(FORMATS)


def test_the_documentation_names_every_key(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "toolchains.md").read_text(encoding="utf-8")
    keys = set(schema()["properties"])
    for definition in ("tool", "recipe", "step", "option", "finding"):
        keys |= set(schema()["$defs"][definition]["properties"])
    assert not {key for key in keys if f"`{key}" not in page}
