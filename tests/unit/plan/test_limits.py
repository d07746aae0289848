from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebuild.plan.commands import script
from edgebuild.plan.limits import look_arguments, needs_look
from edgebuild.plan.plan import make_plan
from tests.unit.plans import MODEL, WORKSPACE, ascend, int8, manifest, plan, target, toolchain

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

    def test_it_is_said(self) -> None:
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
