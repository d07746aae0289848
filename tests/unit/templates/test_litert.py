"""LiteRT and Ethos-U without their packages: the commands, and what their programs decide by themselves."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.manifest.load import load_manifest
from edgebuild.plan.plan import make_plan
from edgebuild.toolchain.load import load_toolchain
from tests.unit.vendor_bench import SEARCH, check_golden, program, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRINTED = """\
Warning: No memory mode specified. Using a default of Dedicated_Sram_384KB. Compilation may be invalid.
Conv2D               Conv2D               NPU                0             0.00
Network summary for model
Total SRAM used                                380.22 KiB

CPU operators = 1 (0.5%)
   CPU: Passthrough = a/b/serving_default_output_5_output_dequant (outputs [1, 10, 10, 4])
NPU operators = 222 (99.5%)
   NPU: Conv2D = serving_default_output_0_output (outputs [1, 40, 40, 64])

Batch Inference time                 9.11 ms,  109.76 inferences/s (batch size 1)
"""


@pytest.fixture
def quantizer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program that quantizes; it imports another of its folder."""
    monkeypatch.syspath_prepend(str(SEARCH[0] / "litert"))
    return program("litert", "quantize")


@pytest.mark.parametrize("name", ["litert", "ethos-u"])
def test_the_commands_are_what_they_were(name: str, golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, name)


def test_both_have_one_environment() -> None:
    first, second = (load_toolchain(name, SEARCH).environment for name in ("litert", "ethos-u"))
    assert first.digest("3.11") == second.digest("3.11")


def test_an_npu_gets_integers_and_a_board_gets_float() -> None:
    assert "int8" in render_step("ethos-u", "int8", "quantizer").argv[8:10]
    assert "float32" in render_step("litert", "int8", "quantizer").argv[8:10]


def test_the_system_that_vela_counts_for_reaches_it() -> None:
    step = render_step(
        "ethos-u",
        "int8",
        "compile",
        accelerator_config="ethos-u65-512",
        system_config="Ethos_U65_High_End",
        memory_mode="Dedicated_Sram",
        arena_cache_size=393216,
        optimise="Size",
    )
    text = " ".join(step.argv)
    assert "--accelerator-config ethos-u65-512 --system-config Ethos_U65_High_End" in text
    assert text.endswith("--memory-mode Dedicated_Sram --arena-cache-size 393216 --optimise Size")


def test_what_vela_leaves_to_the_cpu_is_named() -> None:
    vela = program("ethos-u", "vela")
    assert vela.left(PRINTED) == [
        "Passthrough serving_default_output_5_output_dequant (outputs [1, 10, 10, 4])"
    ]
    assert vela.left("CPU operators = 3 (1%)\n") == ["3 operators"]
    assert vela.left("CPU operators = 0 (0.0%)\n") == []


def test_the_summary_is_what_is_read_and_shown() -> None:
    vela = program("ethos-u", "vela")
    assert vela.summary(PRINTED).startswith("Network summary for model\nTotal SRAM used")
    assert "NPU: " not in vela.summary(PRINTED)
    assert vela.shown(PRINTED).splitlines()[0].startswith("Warning: No memory mode specified")
    assert "Conv2D  " not in vela.shown(PRINTED)


def test_layers_are_found_by_their_weights(quantizer: Any) -> None:
    rng = np.random.default_rng(0)
    conv = rng.random((8, 4, 3, 3), dtype=np.float32)
    deep = rng.random((8, 1, 3, 3), dtype=np.float32)
    assert quantizer._same(np, conv.transpose(0, 2, 3, 1), conv)
    assert quantizer._same(np, deep.transpose(1, 2, 3, 0), deep)
    assert not quantizer._same(np, conv.transpose(0, 2, 3, 1) + 1, conv)


def test_a_layer_that_is_not_there_is_said(
    quantizer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = np.ones((2, 3, 1, 1), dtype=np.float32)
    model = SimpleNamespace(
        operations=[
            {"op_name": "ADD", "inputs": [0, 0], "outputs": [1]},
            {"op_name": "CONV_2D", "inputs": [0, 5], "outputs": [7]},
        ],
        tensor={5: weights.transpose(0, 2, 3, 1)}.__getitem__,
        names={7: "serving_default_output_0_output"},
    )
    monkeypatch.setattr(quantizer, "Interpreted", lambda _: model)
    found = list(quantizer.layers_of("m", {"model.23.cv2.0.2": weights, "model.9": weights * 2}))
    assert found == [("model.23.cv2.0.2", "CONV_2D", "serving_default_output_0_output")]
    assert capsys.readouterr().out == "not in the converted model: model.9\n"


class FakeInterpreter:
    """One INT8 input and two outputs, listed in another order than the model's."""

    def __init__(self) -> None:
        self.given: Any = None

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "name": "args_0", "dtype": np.int8, "quantization": (1 / 255, -128)}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [
            {"index": 2, "name": "serving_default_output_1_output", "quantization": (0.0, 0)},
            {"index": 1, "name": "serving_default_output_0_output", "quantization": (0.5, 10)},
        ]

    def set_tensor(self, index: int, values: Any) -> None:
        assert index == 0
        self.given = values

    def invoke(self) -> None:
        pass

    def get_tensor(self, index: int) -> Any:
        if index == 1:
            return np.arange(2 * 3 * 4, dtype=np.int8).reshape(1, 2, 3, 4)
        return np.ones((1, 8, 21), dtype=np.float32)


def test_the_runtime_turns_axes_and_scales() -> None:
    fake = FakeInterpreter()
    model = program("litert", "runtime").Model(fake)
    images = np.linspace(0, 1, 3 * 2 * 2, dtype=np.float32).reshape(1, 3, 2, 2)
    maps, joined = model(images)
    assert fake.given.shape == (1, 2, 2, 3)
    assert (fake.given.dtype, fake.given.min(), fake.given.max()) == (np.int8, -128, 127)
    assert maps.shape == (1, 4, 2, 3)
    np.testing.assert_allclose(maps[0, :, 0, 0], (np.arange(4) - 10) * 0.5)
    assert joined.shape == (1, 8, 21)


@pytest.mark.parametrize(
    ("name", "line", "finding"),
    [
        ("litert", "quantized: 0 of 88 layers", "quantization-skipped"),
        ("litert", "not in the converted model: model.23.cv2.0.2", "float-layer-lost"),
        ("litert", "litert: an end-to-end head does not become LiteRT here", "litert-failed"),
        ("ethos-u", "on the CPU: Passthrough x", "cpu-fallback"),
        ("ethos-u", "vela: failed with exit code 1", "vela-failed"),
        ("ethos-u", "Warning: No memory mode specified. Using a default", "vela-default-system"),
    ],
)
def test_what_the_logs_say_becomes_a_finding(name: str, line: str, finding: str) -> None:
    rules = load_toolchain(name, SEARCH).findings
    assert [rule.id for rule in rules if rule.pattern and re.search(rule.pattern, line)] == [finding]


def test_an_estimate_stands_where_a_benchmark_would(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    path = SEARCH[0].parent / "manifests" / "ethos-u85.yaml"
    manifest = load_manifest(path, overrides=[f"model.weights={weights}"])
    plan = make_plan(manifest, {"ethos-u": load_toolchain("ethos-u", SEARCH)}, cpu="x86-vnni")
    action = plan.action("u85-256/benchmark")
    assert action.argv[:5] == (
        "python",
        "-m",
        "edgebuild.steps.estimate",
        "--artifact",
        "in/artifact/summary.txt",
    )
    # It reads a text: it is the same on every machine, and needs none for itself.
    assert not action.machine
    assert "Batch Inference time" in dict(action.files)["rules.json"]
    assert plan.target("u85-256").benchmark == action.id
