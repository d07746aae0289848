"""The shape of the code: which way imports go, who may do what, and how long things may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "edgebuild"

LONGEST_MODULE = 330
LONGEST_BODY = 50

HEAVY = (
    "cv2", "doit", "jinja2", "numpy", "onnx", "onnxruntime", "rich", "subprocess", "torch", "ultralytics",
    "yaml",
)  # fmt: skip

PROCESS_CALLS = re.compile(r"fork(pty)?|exec[lv]\w*|spawn\w*|posix_spawnp?|system|popen")

VENDORS = re.compile(
    r"\b(acuity|ambarella|ascend\w*|axelera|axera|cambricon|deepx|ethos|hailo\w*|huawei|imx500|iree|kneron|litert"
    r"|magicmind|mediatek|metis|mlu\d+|mnn|ncnn|neuware|nvidia|openvino|pulsar2?|qnn|qualcomm|rknn\w*"
    r"|rockchip|snpe|sony|sophgo|tensorrt|tflite)\b",
    re.IGNORECASE,
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@lru_cache(maxsize=512)
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def bodies(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every function with the number of lines of its body, without its docstring."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            first = node.body[1:2] if documented else node.body[:1]
            yield node.name, (node.end_lineno or 0) - first[0].lineno + 1 if first else 0


def test_imports_keep_their_contracts() -> None:
    """The contracts are in pyproject.toml; a module that is new has to be given its place there."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_modules_need_each_other() -> None:
    """Also not by an import inside a function, or for types only."""
    known = {name(p).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): p for p in modules()}
    needs: dict[str, set[str]] = {}
    for module, path in known.items():
        found: set[str] = set()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inner & known.keys() or {node.module}
        needs[module] = found & known.keys() - {module, "edgebuild"}
    while leaves := {module for module, found in needs.items() if not found}:
        needs = {module: found - leaves for module, found in needs.items() if module not in leaves}
    assert needs == {}, f"these modules go round in circles: {needs}"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_modules_and_functions_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{name(path)} has {lines} lines: split it by meaning"
    long = {function: count for function, count in bodies(path) if count > LONGEST_BODY}
    assert not long, f"{name(path)}: {long}"


def test_no_vendor_is_known_to_the_code() -> None:
    """A vendor is a folder under templates/: adding one changes nothing here."""
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in [*modules(), *sorted(PACKAGE.rglob("*.json"))]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if VENDORS.search(line)
    ]
    assert found == []


def test_processes_are_started_in_one_place() -> None:
    """Imports are watched by the contracts; these calls of os need none. A worker splits itself off."""
    found = {
        name(path)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and PROCESS_CALLS.fullmatch(node.attr)
    }
    assert found <= {"edgebuild/process/execute.py", "edgebuild/steps/_zygote.py"}


def test_no_text_is_ever_run() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Name) and node.id in {"eval", "exec", "__import__"})
        or (isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False")
    ]
    assert found == []


def test_starting_the_command_line_loads_nothing_heavy() -> None:
    script = f"import edgebuild.cli.main, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_tests_mirror_the_modules_of_the_core() -> None:
    """tests/unit/plan/test_fit.py has the tests of edgebuild/plan/fit.py."""
    unit = REPOSITORY / "tests" / "unit"
    tests = {
        f"{path.parent.relative_to(unit)}/{path.stem.removeprefix('test_')}"
        for path in unit.rglob("test_*.py")
    }
    core = {f"{path.parent.relative_to(PACKAGE)}/{path.stem}" for path in modules()}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"steps"}
    strangers = {test for test in tests if test.split("/")[0] in packages} - core
    assert strangers == set(), "these tests bear the name of no module"
    tested = {
        "./digest", "./gates", "./identity", "./lock", "./machine", "./memo", "./package", "./render",
        "cache/action_cache", "cache/journal", "cache/leases", "cache/store",
        "perform/action", "perform/attempt", "perform/collect", "perform/place", "perform/why",
        "plan/chain", "plan/commands", "plan/fit", "plan/measure", "plan/plan", "plan/quantization",
        "plan/selection", "plan/source", "plan/vendor",
        "process/execute", "process/worker", "run/engine", "run/forecast", "search/explore",
    }  # fmt: skip
    assert tested <= core
    assert tested - tests == set()
