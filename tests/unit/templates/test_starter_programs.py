"""The programs that packages bring for the device, run against stand-ins for the vendors' runtimes.

The stand-ins know the calls that the vendors document, and compute one thing: the mean of each channel and
the corner pixel, which only come out right if layout, scale, type and padding are those of the model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.render import render_text
from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.unit.vendor_bench import SEARCH

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (2, 3, 4, 6)

DEVICE = """
import json, sys
import numpy as np

def main(load):
    infer = load(sys.argv[1])
    given = np.load("input.npy")
    infer(given)  # a second call finds the same buffers
    found = infer(given)
    print(json.dumps([[str(one.dtype), list(one.shape), one.tolist()] for one in map(np.asarray, found)]))
"""

ACL = """
import ctypes
import numpy as np

N, C, H, W = 2, 3, 4, 6
MEMORY, SETS = {}, {}

def _new(size):
    block = ctypes.create_string_buffer(size)
    MEMORY[ctypes.addressof(block)] = block
    return ctypes.addressof(block)

def init():
    return 0

def create_data_buffer(pointer, size):
    return (pointer, size)

class rt:
    set_device = staticmethod(lambda device: 0)
    create_context = staticmethod(lambda device: (1, 0))
    malloc = staticmethod(lambda size, policy: (_new(size), 0))

    @staticmethod
    def memcpy(to, room, source, count, kind):
        if count > room or (to if kind == 1 else source) not in MEMORY:
            return 100000
        ctypes.memmove(to, source, count)
        return 0

class mdl:
    load_from_file = staticmethod(lambda path: (7, 0) if path == "model.om" else (0, 145000))
    create_desc = staticmethod(lambda: 1)
    get_desc = staticmethod(lambda desc, model: 0)
    get_num_outputs = staticmethod(lambda desc: 2)
    get_input_size_by_index = staticmethod(lambda desc, i: N * C * H * W * (1 if AIPP else 4))
    get_output_size_by_index = staticmethod(lambda desc, i: (N * C * 4, N * C * 2)[i])
    get_output_dims = staticmethod(lambda desc, i: ({"name": str(i), "dimCount": 2, "dims": [N, C]}, 0))
    get_output_data_type = staticmethod(lambda desc, i: (0, 1)[i])

    @staticmethod
    def create_dataset():
        SETS[len(SETS)] = []
        return len(SETS) - 1

    @staticmethod
    def add_dataset_buffer(dataset, buffer):
        SETS[dataset].append(buffer)
        return dataset, 0

    @staticmethod
    def execute(model, inputs, outputs):
        ((pointer, size),) = SETS[inputs]
        data = MEMORY[pointer].raw
        if AIPP:
            image = np.frombuffer(data, np.uint8).reshape(N, H, W, C).astype(np.float32) / 255
            image = (image[..., ::-1] if AIPP == "bgr" else image).transpose(0, 3, 1, 2)
        else:
            image = np.frombuffer(data, np.float32).reshape(N, C, H, W)
        results = image.mean((2, 3)), image[:, :, 0, 0].astype(np.float16)
        for (place, _), result in zip(SETS[outputs], results):
            data = np.ascontiguousarray(result).tobytes()
            ctypes.memmove(place, data, len(data))
        return 0
"""

AXELERA = """
import numpy as np

N, C, H, W, SCALE, ZERO = 2, 3, 4, 6, 1 / 250, -120

class Info:
    dtype = np.int8

    def __init__(self, shape, padding, scale, zero_point):
        self.shape, self.padding, self.scale, self.zero_point = shape, padding, scale, zero_point

INPUT = Info((N, H, W, 64), [(0, 0), (0, 0), (0, 0), (0, 61)], SCALE, ZERO)
OUTPUTS = [Info((N, 1, 1, 64), [(0, 0), (0, 0), (0, 0), (0, 61)], SCALE, ZERO)] * 2

class Model:
    def inputs(self):
        return [INPUT]

    def outputs(self):
        return OUTPUTS

class Instance:
    def run(self, inputs, outputs):
        (given,) = inputs
        assert given.dtype == np.int8 and given.shape == INPUT.shape
        assert (given[..., 3:] == ZERO).all()
        image = given[..., :3].astype(np.float32)
        for output, result in zip(outputs, (image.mean((1, 2)), image[:, 0, 0])):
            output[:, 0, 0, :3] = np.round(result)

class Connection:
    def load_model_instance(self, model, *, num_sub_devices, aipu_cores):
        assert num_sub_devices == aipu_cores == N
        return Instance()

class Context:
    def load_model(self, path):
        assert path == "model.om/model.json"
        model = Model()
        model.context = self
        return model

    def device_connect(self, device, *, num_sub_devices):
        return Connection()
"""

OP = """
import numpy as np

class Model:
    def optimized(self):
        return self

    def __call__(self, tensor):
        found = [tensor.mean((2, 3)), tensor[:, :, 0, 0]]
        return found if END else found[:1]

def load(file):
    return Model()
"""

HAILO = """
import numpy as np

class FormatType:
    UINT8, FLOAT32 = "u8", "f32"

class HailoStreamInterface:
    PCIe = 1

class Info:
    def __init__(self, name):
        self.name = name

class HEF:
    def __init__(self, path):
        pass

    def get_input_vstream_infos(self):
        return [Info("model/input_layer1")]

    def get_output_vstream_infos(self):
        return [Info("model/conv1"), Info("model/conv2")]

class ConfigureParams:
    create_from_hef = staticmethod(lambda hef, interface: {})

class Active:
    def __enter__(self):
        return self

    def __exit__(self, *rest):
        pass

class Group:
    def create_params(self):
        return {}

    def activate(self, params):
        return Active()

class VDevice:
    def configure(self, hef, params):
        return [Group()]

class InputVStreamParams:
    make = staticmethod(lambda group, format_type: format_type)

class OutputVStreamParams:
    make = staticmethod(lambda group, format_type: format_type)

class InferVStreams(Active):
    def __init__(self, group, inputs, outputs):
        assert (inputs, outputs) == ("u8", "f32")

    def infer(self, data):
        image = data["model/input_layer1"]
        assert image.dtype == np.uint8 and image.shape == (2, 4, 6, 3)
        image = image.astype(np.float32) / 255
        corner, mean = image[:, :1, :1, :], image.mean((1, 2))[:, None, None, :].repeat(ROWS, 1)
        return {"model/conv2": corner, "model/conv1": mean}
"""

MAGICMIND = """
import numpy as np

class Tensor:
    def from_numpy(self, array):
        assert array.dtype == np.float32
        self.array = array

    def to(self, device):
        self.moved = True

    def asnumpy(self):
        return self.array

def tensor(array):
    made = Tensor()
    made.array = array
    return made

class Good:
    def ok(self):
        return True

class Queue:
    def sync(self):
        return Good()

class Device:
    def active(self):
        return Good()

    def create_queue(self):
        return Queue()

class Context:
    def create_inputs(self):
        return [Tensor()]

    def enqueue(self, inputs, outputs, queue):
        image = inputs[0].array
        assert inputs[0].moved and image.shape == (2, 3, 4, 6)
        outputs += [tensor(image.mean((2, 3))), tensor(image[:, :, 0, 0].astype(np.float16))]
        return Good()

class Engine:
    def create_i_context(self):
        return Context()

class EngineConfig:
    device_type = ""

class Model:
    EngineConfig = EngineConfig

    def deserialize_from_file(self, path):
        return Good()

    def create_i_engine(self, settings):
        assert settings.device_type == "MLU"
        return Engine()
"""

ONNXRUNTIME = """
import os

import numpy as np

class ExecutionMode:
    ORT_SEQUENTIAL = "in sequence"

class SessionOptions:
    def __init__(self):
        self.entries = {}

    def add_session_config_entry(self, name, value):
        self.entries[name] = value

class Input:
    name, type = "images", TYPE

class InferenceSession:
    def __init__(self, path, options, providers):
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        assert path == "model.om" and providers == ["CPUExecutionProvider"]
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
        assert options.execution_mode == "in sequence"
        assert options.entries == {"session.intra_op.allow_spinning": "0"}

    def get_inputs(self):
        return [Input]

    def run(self, names, given):
        image = given["images"]
        assert names is None and image.dtype == (np.float16 if "16" in TYPE else np.float32)
        return [image.mean((2, 3)), image[:, :, 0, 0]]
"""

NET_RUN = """#!{python}
import pathlib, sys
import numpy as np
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert set(words) == {{"--backend", "--retrieve_context", "--input_list", "--output_dir"}}, words
(line,) = pathlib.Path(words["--input_list"]).read_text().splitlines()
image = np.fromfile(line, "<f4").reshape(2, 3, 4, 6)
folder = pathlib.Path(words["--output_dir"]) / "Result_0"
folder.mkdir(parents=True)
image.mean((2, 3)).astype("<f4").tofile(folder / "mean.raw")
image[:, :, 0, 0].astype("<f4").tofile(folder / "corner.raw")
"""

FLAT = [{"name": "mean", "shape": [2, 3]}, {"name": "corner", "shape": [2, 3]}]


def run(
    root: Path,
    name: str,
    recipe: str,
    stubs: dict[str, str],
    outputs: list[dict[str, Any]] = FLAT,
    **given: Any,
) -> subprocess.CompletedProcess[str]:
    """Render a toolchain's ``run.py`` as a package would, and run it on an image."""
    toolchain = load_toolchain(name, SEARCH)
    options, problems = resolve_options(
        toolchain, given, lambda at: ("m", 1, 1, at), recipe=toolchain.recipes[recipe]
    )
    assert not problems, problems
    template = dict(toolchain.package_files)["run.py"]
    variables = {
        "options": dict(options),
        "recipe": recipe,
        "input_shape": list(SHAPE),
        "model": {"input": "images", "task": "detect", "classes": 2},
        "threads": 3,
    }
    program = render_text(template.text, template.name, variables)
    files = {"run.py": program, "device.py": DEVICE, "model.json": json.dumps({"outputs": outputs}), **stubs}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    np.save(root / "input.npy", image())
    return subprocess.run(
        [sys.executable, "run.py", "model.om"],
        cwd=root,
        env={"PATH": f"{root}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def image() -> Any:
    """Return an input whose values are whole 255ths, and differ between channels and from row to column."""
    rng = np.random.default_rng(0)
    bright = rng.integers(0, 80, SHAPE) + np.array([0, 80, 170])[None, :, None, None]
    return bright.astype(np.float32) / np.float32(255)


def sees(done: subprocess.CompletedProcess[str], *, within: float = 2e-3) -> list[list[int]]:
    """Return the shapes that a program gave, whose values must be what the model computes."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = image().mean((2, 3)), image()[:, :, 0, 0]
    for (kind, _, values), right in zip(found, wanted, strict=True):
        assert kind == "float32"
        array = np.asarray(values).reshape(*SHAPE[:2], -1)
        assert np.abs(array - right[..., None]).max() < within
    return [shape for _, shape, _ in found]


@pytest.mark.parametrize("kind", ["tensor(float)", "tensor(float16)"])
def test_onnxruntime_is_set_up_as_it_was_timed(tmp_path: Path, kind: str) -> None:
    stubs = {"onnxruntime.py": f"TYPE = {kind!r}\n{ONNXRUNTIME}"}
    assert sees(run(tmp_path, "onnxruntime", "fp32", stubs)) == [[2, 3], [2, 3]]


@pytest.mark.parametrize("aipp", [None, "rgb", "bgr"])
def test_ascend_runs_through_acl(tmp_path: Path, aipp: str | None) -> None:
    options: dict[str, Any] = {"soc_version": "Ascend310P3"} | ({"aipp": aipp} if aipp else {})
    stubs = {"acl.py": f"AIPP = {aipp!r}\n{ACL}"}
    assert sees(run(tmp_path, "ascend", "fp16", stubs, **options)) == [[2, 3], [2, 3]]


def test_ascend_says_when_the_chip_refuses(tmp_path: Path) -> None:
    stubs = {"acl.py": f"AIPP = None\n{ACL}".replace('"model.om"', '"other.om"')}
    done = run(tmp_path, "ascend", "fp16", stubs, soc_version="Ascend310P3")
    assert done.returncode == 1
    assert done.stderr == "ACL says 145000: its log is below ~/ascend/log\n"


def test_axelera_quantizes_and_pads(tmp_path: Path) -> None:
    stubs = {"axelera/runtime.py": AXELERA}
    # Two roundings of 1/250.
    assert sees(run(tmp_path, "axelera", "int8", stubs), within=1 / 200) == [[2, 3, 1, 1]] * 2


@pytest.mark.parametrize("end", [True, False])
def test_axelera_loads_what_ultralytics_made(tmp_path: Path, *, end: bool) -> None:
    stubs = {"axelera/runtime/__init__.py": "", "axelera/runtime/op.py": f"END = {end}\n{OP}"}
    done = run(tmp_path, "axelera", "ultralytics", stubs)
    if end:
        assert sees(done) == [[2, 3], [2, 3]]
    else:
        assert "model.export.end2end: true" in done.stderr


@pytest.mark.parametrize("rows", [1, 2])
def test_hailo_takes_images_as_they_are(tmp_path: Path, rows: int) -> None:
    maps = [{"name": "mean", "shape": [2, 3, rows, 1]}, {"name": "corner", "shape": [2, 3, 1, 1]}]
    stubs = {"hailo_platform.py": f"ROWS = {rows}\n{HAILO}"}
    # Where shapes are equal, the order of the outputs decides.
    assert sees(run(tmp_path, "hailo", "int8", stubs, maps, hw_arch="hailo8")) == [m["shape"] for m in maps]


def test_magicmind_runs_on_the_card(tmp_path: Path) -> None:
    stubs = {"magicmind/python/runtime.py": MAGICMIND}
    assert sees(run(tmp_path, "cambricon", "magicmind-int8", stubs)) == [[2, 3], [2, 3]]


def test_qualcomm_hands_over_raw_files(tmp_path: Path) -> None:
    tool = tmp_path / "qnn-net-run"
    tool.write_text(NET_RUN.format(python=sys.executable), encoding="utf-8")
    tool.chmod(0o755)
    assert sees(run(tmp_path, "qualcomm", "int8", {}, dsp_arch="v68")) == [[2, 3], [2, 3]]
