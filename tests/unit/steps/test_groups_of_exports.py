"""The named groups of real exports, compared with the torch model that they come from: weight by weight."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import _groups, preprocess
from edgebuild.steps._mixing import mixing_nodes
from edgebuild.steps._onnx_file import load_onnx, name_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

pytestmark = pytest.mark.yolo

FAMILIES = ("yolov8", "yolo11", "yolo26")
SUFFIXES = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}

QUICK = ("yolo11n", "yolo26n-pose+e2e", "yolov8n-obb+dynamic", "yolo11n-seg", "yolov8n-cls")
"""One export of each task, with each kind of head and shape somewhere."""

EVERY = tuple(
    f"{family}{size}{suffix}{end2end}{dynamic}"
    for family in FAMILIES
    for size in "ns"
    for suffix in SUFFIXES.values()
    for end2end in (("", "+e2e") if family == "yolo26" and suffix != "-cls" else ("",))
    for dynamic in ("", "+dynamic")
)

SPREAD = tuple(
    name
    for name in EVERY
    if name.removesuffix("+e2e")
    in {f"{family}n{suffix}" for family in FAMILIES for suffix in SUFFIXES.values()}
    or name in {f"{family}{variant}" for family in FAMILIES for variant in ("s", "n+dynamic")}
)
"""Every family with every task, and of detectors the other size and open dimensions too."""

_EXPORT = """
import hashlib, json, logging, os, shutil, sys, torch
from copy import deepcopy
from ultralytics import YOLO
from ultralytics.nn.modules.block import AAttn, Attention
from ultralytics.nn.modules.head import Classify
from ultralytics.utils import LOGGER

LOGGER.setLevel(logging.ERROR)
torch.manual_seed(0)

def digest(part):
    return hashlib.sha256(part.weight.detach().numpy().tobytes()).hexdigest()

def convolutions(module):
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
    return [part for part in module.modules() if isinstance(part, kinds)]

def truth(model, end2end):
    # The weights of the head's last convolutions, of the whole head, and of the first; blocks of attention.
    fused = deepcopy(model.model).eval()
    head = fused.model[-1]
    if hasattr(head, "end2end"):
        head.end2end = end2end
    fused = fused.fuse(verbose=False)
    head = fused.model[-1]
    if isinstance(head, Classify):
        last = whole = [head.linear]
    else:
        prefix = "one2one_" if getattr(head, "cv2", None) is None else ""
        branches = [getattr(head, prefix + name, None) for name in ("cv2", "cv3", "cv4_kpts", "cv4")]
        last = [convolutions(level)[-1] for branch in branches if branch is not None for level in branch]
        if getattr(head, prefix + "cv4_kpts", None) is not None:  # then cv4 is what leads to it
            last = [part for part in last if part.out_channels in (4 * head.reg_max, head.nc, head.nk)]
        proto = getattr(head, "proto", None)
        last += [convolutions(proto.cv3)[-1]] if proto is not None else []
        expectation = getattr(head.dfl, "conv", None)
        whole = [part for part in convolutions(head) if part is not expectation]
    attention = sum(isinstance(part, (AAttn, Attention)) for part in fused.modules())
    return {
        "last": sorted(map(digest, last)), "head": sorted(map(digest, whole)), "attention": attention,
        "first": [digest(convolutions(fused)[0])],
    }

for name in sys.argv[1:]:
    base, _, _ = name.partition("+")
    model = YOLO(f"{base}.yaml")
    for part in model.model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.bias, 0.0, 0.2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    model.ckpt = {}
    model.save(f"{base}.pt")
    end2end = "+e2e" in name
    more = {"end2end": end2end} if base.startswith("yolo26") and not base.endswith("-cls") else {}
    facts = truth(model, end2end)
    written = model.export(format="onnx", imgsz=64, opset=17, dynamic="+dynamic" in name, simplify=False,
                           device="cpu", verbose=False, **more)
    os.makedirs("done", exist_ok=True)  # the next export of this model writes to the same name
    shutil.move(written, f"done/{name}.onnx")
    with open(f"done/{name}.json", "w") as stream:
        json.dump(facts, stream)
"""


@pytest.fixture(scope="session")
def exports(
    tmp_path_factory: pytest.TempPathFactory, run_python: Callable[..., Any]
) -> Callable[[tuple[str, ...]], Path]:
    """Export untrained models, at most once in a session, as ``<name>.onnx`` with what torch says of them."""

    @cache
    def export(names: tuple[str, ...]) -> Path:
        folder = tmp_path_factory.mktemp("exports")
        done = run_python(folder, "-c", _EXPORT, *names)
        assert done.returncode == 0, done.stderr
        return folder / "done"

    return export


def _digests(model: Any, names: Iterable[str]) -> list[str]:
    """Digests of the weights that the named nodes multiply by, in whatever layout they are stored."""
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    graph = _groups.read_graph(model)
    wanted, found = set(names), []
    for index, node in enumerate(graph.nodes):
        if node.name in wanted and _groups.is_weighted(graph, index):
            weight = next(name for name in node.input[1:2] if name in graph.constants)
            found.append(hashlib.sha256(numpy_helper.to_array(graph.constants[weight]).tobytes()).hexdigest())
    return sorted(found)


def _check(model: Any, truth: dict[str, Any], name: str) -> None:
    groups = _groups.find_groups(model)
    types = {node.name: node.op_type for node in model.graph.node}

    def counted(group: str, kind: str) -> int:
        return sum(types[node] == kind for node in groups[group])

    assert _digests(model, groups["last"]) == truth["last"]
    assert len(groups["last"]) == len(truth["last"])
    assert _digests(model, groups["first"]) == truth["first"]
    # The weights of the head, and no others: neither one of the neck in it nor one of the head outside.
    assert _digests(model, groups["head"]) == truth["head"]
    assert set(groups["decode"]) | set(groups["last"]) <= set(groups["head"])
    # Decoding multiplies by no weights but those of the expectation of the box distribution.
    assert _digests(model, groups["decode"]) == []
    distribution = not name.startswith("yolo26") and "-cls" not in name
    assert counted("decode", "Conv") == int(distribution)
    assert counted("decode", "TopK") == (2 if "+e2e" in name else 0)
    assert counted("decode", "Softmax") == int(distribution or "-cls" in name)
    # Two products of computed matrices and a softmax each; the exporter keeps one operator for each.
    assert counted("attention", "MatMul") == 2 * truth["attention"]
    assert counted("attention", "Softmax") == truth["attention"]
    mixing = mixing_nodes(model)
    assert set(mixing) <= set(groups["decode"])
    producer = {output: node.name for node in model.graph.node for output in node.output}
    # The first output joins coordinates and scores unless there are only scores; mask prototypes are alone.
    mixed = [producer[value.name] in mixing for value in model.graph.output]
    assert mixed == [True, False][: len(mixed)] if "-cls" not in name else mixed == [False]
    if "-pose" in name:
        # Keypoints' visibility is joined with their places before that.
        joins = [node for node in mixing if types[node] in {"Concat", "ScatterND"}]
        assert len(joins) >= 2
    assert _groups.find_gaps(model, groups) == ()


def _models(folder: Path, name: str) -> Iterable[tuple[Any, dict[str, Any]]]:
    onnxslim = pytest.importorskip("onnxslim")
    truth = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    model = load_onnx(folder / f"{name}.onnx")
    for one in (model, onnxslim.slim(load_onnx(folder / f"{name}.onnx"))):
        name_nodes(one)
        yield one, truth


@pytest.mark.parametrize("name", QUICK)
def test_finds_what_the_torch_model_consists_of(
    exports: Callable[[tuple[str, ...]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also after preparation for quantization, which is where groups are used."""
    monkeypatch.chdir(tmp_path)
    for model, truth in _models(exports(QUICK), name):
        _check(model, truth, name)
        _check(preprocess.prepare(model, name=name), truth, name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take a spread of the exports, or all of them: those take ten minutes."""
    if "one_of_many" in metafunc.fixturenames:
        many = EVERY if metafunc.config.getoption("--every-export") else SPREAD
        metafunc.parametrize("one_of_many", [(many, name) for name in many], ids=many)


@pytest.mark.slow
def test_finds_it_in_every_family_size_task_and_export(
    exports: Callable[[tuple[str, ...]], Path], one_of_many: tuple[tuple[str, ...], str]
) -> None:
    many, name = one_of_many
    for model, truth in _models(exports(many), name):
        _check(model, truth, name)
