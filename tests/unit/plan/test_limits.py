from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.errors import ManifestError
from edgebuild.plan.commands import script
from edgebuild.plan.limits import look_arguments, needs_look
from edgebuild.plan.plan import make_plan
from tests.unit.plans import MODEL, QUANTIZE, WORKSPACE, ascend, gate, int8, manifest, plan, target, toolchain

if TYPE_CHECKING:
    from edgebuild.manifest.values import Target
    from edgebuild.plan.plan import Plan


def exporting(**changes: Any) -> Any:
    return replace(MODEL, export=replace(MODEL.export, **changes))


def limited(one: Target, model: Any = MODEL, **limits: Any) -> Plan:
    """Return the plan of a target whose toolchain has these limits."""
    chain = toolchain(one.toolchain)
    chain = replace(chain, limits=replace(chain.limits, **limits))
    return make_plan(manifest(one, model=model), {one.toolchain: chain}, cpu="x86-vnni")


class TestFitting:
    def test_a_target_is_exported_with_an_opset_that_its_compiler_takes(self) -> None:
        made = plan(ascend(), target("pi"), model=exporting(opset=19))
        assert made.action("ascend/compile").needs == ("export@op17",)
        argv = made.action("export@op17").argv
        assert argv[argv.index("--opset") + 1] == "17"
        assert made.target("pi").artifact.action == "export"
        assert made.action("baseline").needs == ("export",)

    def test_the_nearest_opset_is_taken(self) -> None:
        assert plan(ascend(), model=exporting(opset=9)).action("export@op11").targets == ("ascend",)

    @pytest.mark.parametrize(
        ("asked", "more", "fitted"),
        [
            (12, {"recipe": "int8"}, "export@op13"),
            (12, {"recipe": "int8-naive"}, "export@op13"),
            (12, {"recipe": "int8", "quantize": replace(QUANTIZE, per_channel=False)}, "export"),
            (9, {"recipe": "int8", "quantize": replace(QUANTIZE, per_channel=False)}, "export@op10"),
            (12, {"recipe": "int8", "quantize": replace(QUANTIZE, activation="u16")}, "export"),
            (12, {"recipe": "w8a16"}, "export"),
            (9, {"recipe": "w8a16"}, "export@op10"),
            (9, {"recipe": "dynamic"}, "export@op10"),
            (9, {"recipe": "fp16"}, "export"),
            (9, {"recipe": "fp32"}, "export"),
            (13, {"recipe": "int8"}, "export"),
        ],
    )
    def test_what_is_quantized_here_is_exported_with_an_opset_that_can_say_it(
        self, asked: int, more: dict[str, Any], fitted: str
    ) -> None:
        made = plan(target("a", **more), model=exporting(opset=asked))
        assert fitted in made.target("a").actions
        assert ("opset-fitted" in {note.id for note in made.target("a").notes}) == (fitted != "export")

    def test_the_note_says_what_needs_the_opset(self) -> None:
        made = plan(target("a", recipe="int8"), model=exporting(opset=11))
        (note,) = made.target("a").notes
        assert note.message == (
            "a is exported with opset 13: quantizing per channel (quantize.per_channel) takes 13 and more"
        )
        given = replace(exporting(opset=11), weights=WORKSPACE / "m.onnx")
        with pytest.raises(ManifestError, match="takes ONNX opset 13 and more, the export has 11"):
            plan(target("a", recipe="int8"), model=given)

    def test_a_target_and_its_commands_say_that_the_opset_is_another(self) -> None:
        made = plan(ascend(), model=exporting(opset=19))
        (note,) = made.target("ascend").notes
        assert (note.id, note.level) == ("opset-fitted", "note")
        assert note.message == "ascend is exported with opset 17: ascend takes 11 to 17"
        assert "model.export.opset: 17" in note.hint
        assert "# ascend is exported with opset 17" in script(made, [made.action("export@op17")])
        assert "# ascend is exported" not in script(made, [made.action("export")])

    def test_open_shapes_are_fixed_where_a_compiler_wants_them_so(self) -> None:
        made = plan(ascend(batch=2), target("pi"), model=exporting(dynamic=True))
        assert "--dynamic" not in made.action("export@b2-static").argv
        assert "--dynamic" in made.action("export").argv
        assert [note.id for note in made.target("ascend").notes] == ["shapes-fitted"]
        assert made.target("pi").notes == ()

    def test_what_follows_has_names_of_its_own(self) -> None:
        made = limited(int8(), exporting(opset=19), opset=(11, 17))
        names = {action.id for action in made.actions}
        assert {"export@op17", "preprocess@op17", "ranges@op17", "quantize@op17"} <= names

    def test_what_fits_is_left_as_it_is(self) -> None:
        made = plan(ascend())
        assert made.target("ascend").notes == ()
        assert made.action("ascend/compile").needs[-1].endswith("export")


class TestHeads:
    def fleet(self, *more: Target, **changes: Any) -> Plan:
        """Return the plan of a CPU and of targets whose compiler cannot select boxes."""
        unable = replace(toolchain("ascend"), limits=replace(toolchain("ascend").limits, end2end=False))
        chains = {"onnxruntime": toolchain("onnxruntime"), "ascend": unable}
        return make_plan(
            manifest(target("pi"), ascend("a"), ascend("b"), *more, model=exporting(end2end=True, **changes)),
            chains,
            cpu="x86-vnni",
        )

    def test_the_head_is_the_manifests(self) -> None:
        asked = plan(target("pi"), model=exporting(end2end=True))
        assert "--end2end" in asked.action("export").argv
        assert asked.target("pi").notes == ()
        usual = plan(target("pi"))
        assert not {"--end2end", "--no-end2end"} & {*usual.action("export").argv}

    def test_a_compiler_that_cannot_select_gets_the_other_head_once_for_all(self) -> None:
        made = self.fleet()
        assert "--end2end" in made.action("export").argv
        other = made.action("export@one-to-many")
        assert "--no-end2end" in other.argv
        assert other.targets == ("a", "b")
        assert made.action("a/compile").needs == ("export@one-to-many",)
        assert made.action("pi/validate").needs == ("export",)

    def test_a_target_and_its_commands_say_that_the_head_is_another(self) -> None:
        made = self.fleet()
        (note,) = made.target("a").notes
        assert (note.id, note.level) == ("head-fitted", "note")
        assert note.message == (
            "a is exported with the head whose overlapping boxes are suppressed: ascend cannot select boxes"
        )
        assert "model.export.end2end: false" in note.hint
        assert "# a is exported with the head" in script(made, [made.action("export@one-to-many")])
        assert "# a is exported" not in script(made, [made.action("export")])

    def test_every_target_is_compared_with_the_float_model_of_its_head(self) -> None:
        relative = (gate("map50_95", max_drop=0.01), gate("size_mb", max_ratio=1.0))
        made = self.fleet(ascend("c", gates=relative), target("d", gates=relative))
        assert made.baseline == "baseline"
        assert made.action("baseline").needs == ("export",)
        assert made.action("baseline@one-to-many").needs == ("export@one-to-many",)
        assert {"baseline@one-to-many", "export@one-to-many"} <= {*made.action("c/verdict").needs}
        assert {"baseline", "export"} <= {*made.action("d/verdict").needs}
        assert [made.target(name).baseline for name in "acd"] == [
            "baseline@one-to-many", "baseline@one-to-many", "baseline"
        ]  # fmt: skip

    def test_opset_and_shapes_of_the_float_model_stay_as_they_are(self) -> None:
        made = self.fleet(opset=19, dynamic=True)
        assert made.action("a/compile").needs == ("export@op17-static-one-to-many",)
        assert made.action("baseline@one-to-many").needs == ("export@one-to-many",)
        assert "--dynamic" in made.action("export@one-to-many").argv

    def test_where_no_target_has_the_manifests_head_the_other_is_the_float_model(self) -> None:
        made = limited(ascend(), exporting(end2end=True), end2end=False)
        assert (made.baseline, made.baseline_detections) == (
            "baseline@one-to-many", "baseline-detections@one-to-many"
        )  # fmt: skip
        assert "export" not in {action.id for action in made.actions}

    def test_a_cut_keeps_the_head_for_it_ends_before_the_selection(self) -> None:
        made = limited(int8(head="cut"), exporting(end2end=True), end2end=False)
        assert made.action("head@cut").needs == ("export",)
        assert made.target("pi").notes == ()

    def test_a_normalised_head_has_the_other_whatever_the_compiler_can(self) -> None:
        made = plan(int8(head="normalised"), model=exporting(end2end=True))
        assert made.action("head@one-to-many-normalised").needs == ("export@one-to-many",)
        assert [note.id for note in made.target("pi").notes] == ["head-fitted"]
        assert "a normalised head cannot select boxes" in made.target("pi").notes[0].message

    def test_what_follows_has_names_of_its_own(self) -> None:
        made = limited(int8(), exporting(end2end=True), end2end=False)
        names = {action.id for action in made.actions}
        assert {"preprocess@one-to-many", "ranges@one-to-many", "quantize@one-to-many"} <= names

    def test_an_onnx_cannot_be_exported_anew(self) -> None:
        given = replace(exporting(end2end=True), weights=WORKSPACE / "best.onnx")
        with pytest.raises(ManifestError, match="takes no head that selects its boxes itself") as no:
            limited(target("pi"), given, end2end=False)
        assert "set targets.pi.head: cut, or give model.weights as a .pt file" in str(no.value)
        with pytest.raises(ManifestError, match="a normalised head cannot be made of one"):
            plan(target("pi", head="normalised"), model=given)
        assert plan(target("pi"), model=given).target("pi").notes == ()
        assert limited(target("pi", head="cut"), given, end2end=False).target("pi").notes == ()

    def test_an_onnx_that_selects_is_refused_before_the_compiler_gets_it(self) -> None:
        given = replace(MODEL, weights=WORKSPACE / "best.onnx")
        argv = limited(ascend(), given, end2end=False).action("limits@ascend-export").argv
        assert argv[argv.index("--refuse") + 1] == "TopK"
        assert "suppressed" in argv[argv.index("--refuse-hint") + 1]
        assert "limits@ascend-export" not in {one.id for one in limited(ascend(), end2end=False).actions}


class TestLooking:
    def test_a_compiler_with_limits_on_the_graph_gets_a_model_that_was_looked_at(self) -> None:
        made = limited(ascend(), refuse=("TopK",), refuse_hint="use `head: cut`", size_mb=8.0)
        assert made.action("ascend/compile").needs == ("limits@ascend-export",)
        argv = made.action("limits@ascend-export").argv
        assert argv[argv.index("--refuse") + 1] == "TopK"
        assert argv[argv.index("--size-mb") + 1] == "8"
        assert argv[argv.index("--opset") + 1 : argv.index("--opset") + 3] == ("11", "17")
        assert "--static" in argv
        assert made.action("ascend/validate").needs == ("export",)

    def test_several_targets_look_once(self) -> None:
        chain = toolchain("ascend")
        chain = replace(chain, limits=replace(chain.limits, refuse=("TopK",)))
        made = make_plan(manifest(ascend("a"), ascend("b")), {"ascend": chain}, cpu="x86-vnni")
        assert made.action("limits@ascend-export").targets == ("a", "b")

    def test_an_onnx_of_the_users_is_looked_at_for_its_opset(self) -> None:
        chain = replace(toolchain("ascend"), limits=replace(toolchain("ascend").limits, refuse=()))
        given = manifest(ascend(), model=replace(MODEL, weights=WORKSPACE / "best.onnx"))
        assert needs_look(given, chain)
        assert not needs_look(manifest(ascend()), chain)

    def test_no_limits_no_arguments(self) -> None:
        assert look_arguments(toolchain("onnxruntime")) == ["--toolchain", "onnxruntime"]
