from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionInput, FileInput, TreeInput
from edgebuild.identity import ROOT
from edgebuild.plan import chain
from edgebuild.plan.own_step import DISTRIBUTIONS, Ref
from tests.unit.plans import DATASET, MODEL, QUANTIZE, TRAIN, WORKSPACE, int8, manifest, target

if TYPE_CHECKING:
    from edgebuild.action import Action
    from edgebuild.manifest.values import Manifest

MODEL_REF = Ref(action="export", output="model", name="model.onnx")
OTHER_REF = Ref(action="other", output="out", name="other.npy")


def trained(**changes: object) -> Manifest:
    return manifest(target(), model=replace(MODEL, weights=None, train=replace(TRAIN, **changes)))  # type: ignore[arg-type]


def options(action: Action) -> dict[str, str]:
    return dict(zip(action.argv, (*action.argv[1:], ""), strict=True))


def test_every_program_of_the_chain_exists_and_names_what_it_is_made_with() -> None:
    programs = {p.stem for p in (ROOT / "steps").glob("[a-z]*.py")}
    assert set(DISTRIBUTIONS) <= programs


def test_a_step_is_identified_by_its_code_its_packages_and_the_interpreter() -> None:
    action = chain.export(manifest(target()), target(), 1)
    assert action.argv[:3] == ("python", "-m", "edgebuild.steps.export")
    assert action.tools[:2] == ("python", "code:edgebuild.steps.export")
    assert "distribution:ultralytics" in action.tools


class TestTrain:
    def test_it_reads_both_splits_and_nothing_else_of_the_dataset(self) -> None:
        action = chain.train(trained(), target())
        train, validation = action.inputs
        assert isinstance(train, TreeInput)
        assert isinstance(validation, TreeInput)
        assert (train.role, validation.role) == ("train", "validation")
        assert train.files == tuple(sorted(train.files))
        assert len(train.files) == 8
        document = json.loads(dict(action.files)["dataset.json"])
        assert document == {"names": ["bolt", "nut"], "nc": 2, "task": "detect"}

    def test_its_further_arguments_are_a_file(self) -> None:
        assert json.loads(dict(chain.train(trained(), target()).files)["arguments.json"]) == {"lr0": 0.01}

    def test_it_learns_what_keypoints_become_in_a_mirror(self) -> None:
        data = replace(DATASET, kpt_shape=(2, 3), flip_idx=(1, 0))
        files = dict(chain.train(replace(trained(), dataset=data), target()).files)
        assert json.loads(files["dataset.json"])["flip_idx"] == [1, 0]

    def test_a_base_that_is_a_file_is_an_input_under_a_fixed_name(self) -> None:
        base = WORKSPACE / "my base.pt"
        action = chain.train(trained(base="my base.pt", base_file=base), target())
        assert options(action)["--base"] == "in/base/base.pt"
        assert action.inputs[0] == FileInput(role="base", name="base.pt", path=base)

    def test_only_resuming_keeps_what_was_interrupted(self) -> None:
        assert not chain.train(trained(), target()).resumable
        action = chain.train(trained(resume=True), target())
        assert action.resumable
        assert "--resume" in action.argv


class TestExport:
    def test_given_weights_have_a_fixed_name(self) -> None:
        one = chain.export(manifest(target()), target(), 1)
        renamed = replace(MODEL, weights=WORKSPACE / "other name.pt")
        assert one == chain.export(manifest(target(), model=renamed), target(), 1)
        assert one.inputs[0] == FileInput(role="weights", name="weights.pt", path=WORKSPACE)

    def test_trained_weights_come_from_training(self) -> None:
        action = chain.export(trained(), target(), 1)
        assert action.inputs == (
            ActionInput(role="weights", action="train", output="weights", name="weights.pt"),
        )

    @pytest.mark.parametrize(("batch", "name"), [(1, "export"), (4, "export@b4")])
    def test_the_batch_is_part_of_its_name(self, batch: int, name: str) -> None:
        action = chain.export(manifest(target()), target(), batch)
        assert (action.id, options(action)["--batch"]) == (name, str(batch))

    def test_flags_are_there_or_not(self) -> None:
        flags = replace(MODEL, export=replace(MODEL.export, simplify=False, dynamic=True), imgsz=(320, 640))
        action = chain.export(manifest(target(), model=flags), target(), 1)
        assert "--simplify" not in action.argv
        assert "--dynamic" in action.argv
        height = action.argv.index("--imgsz")
        assert action.argv[height + 1 : height + 3] == ("320", "640")


class TestCalibrate:
    def test_an_explicit_list_is_a_file(self) -> None:
        listed = replace(DATASET.calibration, sample="list", files=("images/train/001.jpg", "b c.jpg"))
        data = replace(DATASET, calibration=listed)
        action = chain.calibrate(manifest(int8(), dataset=data), int8())
        assert dict(action.files)["list.txt"] == "images/train/001.jpg\nb c.jpg\n"
        assert options(action)["--list"] == "aux/list.txt"
        assert "--list" not in chain.calibrate(manifest(int8()), int8()).argv

    def test_keypoints_are_told(self) -> None:
        data = replace(DATASET, kpt_shape=(17, 3), flip_idx=(1, 0))
        files = dict(chain.calibrate(manifest(int8(), dataset=data), int8()).files)
        told = json.loads(files["dataset.json"])
        assert told["kpt_shape"] == [17, 3]
        assert "flip_idx" not in told  # only a training mirrors images


class TestQuantize:
    def make(self, *, naive: bool = False, **changes: object) -> Action:
        settings = replace(QUANTIZE, activation="u8", weight="s8", reduce_range=False)
        settings = replace(settings, **changes)  # type: ignore[arg-type]
        return chain.quantize(int8(), settings, MODEL_REF, OTHER_REF, "@x", naive=naive, pairs=False)

    def test_what_stays_float(self) -> None:
        argv = self.make(keep_float=("decode", "/model.23/*")).argv
        place = argv.index("--keep-float")
        assert argv[place + 1 : place + 3] == ("decode", "/model.23/*")
        assert "--keep-float" not in self.make(naive=True).argv
        assert "--naive" in self.make(naive=True).argv

    @pytest.mark.parametrize(
        ("field", "flag"), [("per_channel", "--per-channel"), ("reduce_range", "--reduce-range")]
    )
    def test_flags_are_there_or_not(self, field: str, flag: str) -> None:
        assert flag in self.make(**{field: True}).argv
        assert flag not in self.make(**{field: False}).argv

    def test_every_digit_of_a_percentile_counts(self) -> None:
        settings = replace(QUANTIZE, method="percentile", percentile=99.99999)
        action = chain.ranges(int8(), settings, MODEL_REF, OTHER_REF, "")
        assert options(action)["--percentile"] == "99.99999"
        assert "--percentile" not in chain.ranges(int8(), QUANTIZE, MODEL_REF, OTHER_REF, "").argv

    def test_its_settings_are_found_in_the_manifest(self) -> None:
        origin = self.make().origin
        assert ("--activation", "targets.pi.quantize.activation") in origin
        assert ("--activation", "quantize.activation") in origin


def test_calibration_files_are_grouped_by_the_batch() -> None:
    one = chain.calibration_format(int8(), "raw-float32", OTHER_REF, OTHER_REF)
    two = chain.calibration_format(int8(batch=2), "raw-float32", OTHER_REF, OTHER_REF)
    assert (one.id, two.id) == ("calibration@raw-float32", "calibration@raw-float32-b2")
    assert one.outputs[0].tree
