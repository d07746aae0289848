"""IREE without it: the commands, and what the folder's programs decide by themselves."""

from __future__ import annotations

import re
import struct
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.unit.vendor_bench import GOLDEN, SEARCH, program, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARM, X86, RISCV = 183, 62, 243


def elf(machine: int) -> bytes:
    """Return the first bytes of an ELF file for a machine."""
    return b"\x7fELF" + bytes(14) + struct.pack("<H", machine) + bytes(44)


class FakeModule:
    """A module as the runtime reads it."""

    def __init__(self, *names: str) -> None:
        self.function_names = [*names, "__init"]


class FakeRuntime(ModuleType):
    """What the folder's programs call of ``iree.runtime``; the function doubles its input.

    Attributes:
        told: Flags, in the order in which they came, and ``device`` when one was made.
    """

    def __init__(self, *names: str, outputs: int = 1) -> None:
        super().__init__("iree.runtime")
        self.told: list[str] = []
        self.flags = SimpleNamespace(parse_flags=self.told.append)
        self._names, self._outputs = names, outputs
        self.VmModule = SimpleNamespace(
            mmap=lambda _instance, _path: FakeModule(*names),
            copy_buffer=lambda _instance, _data: FakeModule(*names),
        )
        self.VmInstance = object

    def Config(self, driver: str) -> SimpleNamespace:  # noqa: N802 - as it is called there
        assert driver == "local-task"
        self.told.append("device")
        return SimpleNamespace(vm_instance=object(), device=object())

    def load_vm_module(self, module: FakeModule, config: object) -> dict[str, Any]:
        del config

        def function(images: Any) -> Any:
            found = tuple(
                SimpleNamespace(to_host=lambda: images * np.float32(2)) for _ in range(self._outputs)
            )
            return found if self._outputs > 1 else found[0]

        return dict.fromkeys(module.function_names, function)

    def asdevicearray(self, device: object, array: Any) -> Any:
        del device
        return array


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRuntime]:
    """Return what puts a stand-in in the place of ``iree.runtime``."""

    def put(*names: str, outputs: int = 1) -> FakeRuntime:
        fake, package = FakeRuntime(*names, outputs=outputs), ModuleType("iree")
        package.runtime = fake  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "iree", package)
        monkeypatch.setitem(sys.modules, "iree.runtime", fake)
        return fake

    return put


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    lines: list[str] = []
    for recipe in load_toolchain("iree", SEARCH).recipes.values():
        options: dict[str, Any] = dict.fromkeys(recipe.required_options, "cortex-a76")
        for entry in recipe.steps:
            step = render_step("iree", recipe.name, entry.step, imgsz=(320, 640), **options)
            lines += [f"== {recipe.name}/{entry.step}", *step.argv]
    golden(GOLDEN / "iree.txt", "\n".join(lines) + "\n")


def test_a_stand_in_differs_from_the_artifact_in_nothing_but_the_processor() -> None:
    words = [
        list(render_step("iree", "arm64-fp32", step, arm_cpu="cortex-a72", opt_level="O2").argv)
        for step in ("compile", "standin")
    ]
    difference = [pair for pair in zip(*words, strict=True) if pair[0] != pair[1]]
    assert difference == [
        ("out/model.vmfb", "out/standin.vmfb"),
        ("aarch64", "x86_64"),
        ("cortex-a72", "x86-64-v3"),
    ]


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72"])
def test_a_core_without_fp16_arithmetic_is_refused_for_fp16(cpu: str) -> None:
    recipes = load_toolchain("iree", SEARCH).recipes
    assert cpu in dict(recipes["arm64-fp16"].refuse)["arm_cpu"]
    assert not recipes["arm64-fp32"].refuse
    assert not recipes["arm64-int8"].refuse


def test_the_processor_of_the_build_machine_cannot_be_asked_for() -> None:
    toolchain = load_toolchain("iree", SEARCH)
    _, problems = resolve_options(
        toolchain, {"cpu": "host"}, lambda at: ("m", 1, 1, at), recipe=toolchain.recipes["fp32"]
    )
    assert "another artifact on another machine" in str(problems[0])


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (b"PK\x03\x04 no code", []),
        (b"PK\x03\x04" + elf(ARM), ["aarch64"]),
        (b"PK\x03\x04" + elf(X86) + elf(X86), ["x86_64"]),
        (elf(X86) + elf(RISCV) + b"\x7fELF", ["machine 243", "x86_64"]),
    ],
)
def test_the_code_in_a_module_says_for_what_it_is(module: bytes, found: list[str]) -> None:
    assert program("iree", "compile").machines(module) == found


def test_a_module_for_another_machine_than_asked_for_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler, output = program("iree", "compile"), tmp_path / "model.vmfb"
    monkeypatch.setattr(compiler, "compile_module", lambda *_: output.write_bytes(b"PK\x03\x04" + elf(X86)))
    words = ["--model", "m.mlir", "--output", str(output), "--arch", "aarch64", "--cpu", "cortex-a76"]
    monkeypatch.setattr(sys, "argv", ["compile.py", *words, "--opt-level", "O3"])
    with pytest.raises(SystemExit, match="1"):
        compiler.main()
    said = capsys.readouterr().out
    assert "not compiled for aarch64" in said
    assert "written" not in said


def test_a_module_with_another_number_of_functions_is_not_accepted(
    tmp_path: Path, runtime: Callable[..., FakeRuntime], capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "model.vmfb"
    module.write_bytes(b"PK")
    runtime("main_graph$async", "main_graph")
    program("iree", "compile").check(module)
    assert capsys.readouterr().out == "functions: main_graph\n"
    runtime("one", "two")
    with pytest.raises(SystemExit, match="1"):
        program("iree", "compile").check(module)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_runtime_returns_every_output_as_an_array_of_its_own(
    runtime: Callable[..., FakeRuntime], outputs: int
) -> None:
    fake = runtime("main_graph$async", "main_graph", outputs=outputs)
    model = program("iree", "runtime").load("model.vmfb", {}, 3)
    # The number of threads counts only before there is a device.
    assert fake.told == ["--task_topology_group_count=3", "device"]
    images = np.ones((1, 3, 4, 4), np.float32).transpose(0, 2, 3, 1)
    found = model(images)
    assert len(found) == outputs
    for output in found:
        assert output.flags.owndata
        np.testing.assert_array_equal(output, images * 2)
    assert model.bind(images)() is not None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("m.mlir:12:3: error: failed to legalize operation 'torch.operator' that was", "iree-unsupported"),
        ("iree-compile was killed by signal 9", "iree-crash"),
        ("functions: main_graph", None),
    ],
)
def test_lines_of_the_log_become_findings(line: str, found: str | None) -> None:
    rules = load_toolchain("iree", SEARCH).findings
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == ([found] if found else [])
