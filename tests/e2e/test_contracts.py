"""What others build on: documents on standard output, exit codes, quiet terminals, cheap starts."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

VERBS = (
    "run", "plan", "check", "commands", "explain", "report", "verify", "cache", "toolchain", "doctor", "init",
)  # fmt: skip
HEAVY = {"torch", "onnx", "onnxruntime", "ultralytics", "cv2", "numpy"}
STATES = {"run", "cached", "current", "skipped"}


def test_help_lists_every_verb_and_exit_code(fresh: Workspace) -> None:
    done = fresh.eb("--help")
    assert done.code == 0
    for word in (*VERBS, "exit codes: 0 ok", "10 --dry-run --exit-code"):
        assert word in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example_of_it(fresh: Workspace, verb: str) -> None:
    done = fresh.eb(verb, "--help")
    assert done.code == 0
    assert f"example:\n  edgebuild {verb}" in done.out


def test_the_version_is_one_line(fresh: Workspace) -> None:
    assert re.fullmatch(r"edgebuild \d+\.\d+\.\d+\n", fresh.eb("--version").out)


@pytest.mark.parametrize("words", [("--help",), ("plan", "manifest.yaml"), ("commands", "manifest.yaml")])
def test_nothing_heavy_is_imported(fresh: Workspace, words: tuple[str, ...]) -> None:
    done = fresh.eb(*words, python=("-X", "importtime"))
    assert done.code == 0
    imported = {
        line.rpartition("|")[2].strip() for line in done.err.splitlines() if line.startswith("import time:")
    }
    assert "argparse" in imported
    assert not HEAVY & {name.partition(".")[0] for name in imported}


def test_a_plan_as_a_document(fresh: Workspace) -> None:
    done = fresh.eb("plan", "manifest.yaml", "--json")
    assert not done.err
    document = done.json()
    assert document["schema"] == 1
    rows = {row["id"]: row for row in document["actions"]}
    assert len(rows) == len(document["actions"])
    for row in rows.values():
        assert row["state"] in STATES
        assert row["command"]
        assert all(isinstance(word, str) for word in row["command"])
        assert all({"kind", "what", "old", "new"} <= set(why) for why in row["why"])
    assert rows["export"]["targets"] == ["fp32", "int8", "chip"]
    assert rows["chip/compile"]["needs"] == ["export"]
    assert "in/" not in " ".join(rows["chip/compile"]["command"])
    assert fresh.eb("plan", "manifest.yaml", "--format", "json").json() == document


def test_a_plan_comes_in_the_order_of_what_needs_what(fresh: Workspace) -> None:
    seen: set[str] = set()
    for row in fresh.eb("plan", "manifest.yaml", "--json").json()["actions"]:
        assert set(row["needs"]) <= seen
        seen.add(row["id"])


def test_a_plan_for_graphviz_names_every_action_and_edge(fresh: Workspace) -> None:
    rows = fresh.eb("plan", "manifest.yaml", "--json").json()["actions"]
    drawn = fresh.eb("plan", "manifest.yaml", "--format", "dot").out
    assert drawn.startswith("digraph edgebuild {\n")
    assert drawn.endswith("}\n")
    for row in rows:
        assert f'"{row["id"]}" [' in drawn
        assert all(f'"{need}" -> "{row["id"]}";' in drawn for need in row["needs"])


def test_a_plan_for_mermaid_names_every_action_and_edge(fresh: Workspace) -> None:
    rows = fresh.eb("plan", "manifest.yaml", "--json").json()["actions"]
    drawn = fresh.eb("plan", "manifest.yaml", "--format", "mermaid").out
    assert drawn.startswith("flowchart LR\n")
    assert all(f'["{row["id"]}"]' in drawn for row in rows)
    assert drawn.count(" --> ") == sum(len(row["needs"]) for row in rows)


def test_a_plan_writes_nothing_but_its_own_state(fresh: Workspace) -> None:
    before = set(fresh.folder.rglob("*"))
    fresh.eb("plan", "manifest.yaml")
    made = {path.relative_to(fresh.folder).parts[0] for path in set(fresh.folder.rglob("*")) - before}
    assert made <= {".edgebuild"}
    assert (fresh.folder / ".edgebuild" / ".gitignore").read_text(encoding="utf-8").endswith("*\n")


def test_selectors_choose_targets_steps_and_globs(fresh: Workspace) -> None:
    def run_by(*words: str) -> set[str]:
        rows = fresh.eb("plan", "manifest.yaml", *words, "--json").json()["actions"]
        return {row["id"] for row in rows if row["state"] == "run"}

    assert run_by("chip/compile") == {"export", "chip/compile"}
    assert run_by("c*/compile") == {"export", "chip/compile"}
    assert run_by("int8/quantize") == {"export", "calibrate", "preprocess", "ranges", "quantize"}
    assert run_by("export") == {"export"}
    assert not {name for name in run_by("chip") if name.startswith(("fp32/", "int8/"))}
    assert run_by("--until", "export") == {"export"}


def test_words_may_come_after_options(fresh: Workspace) -> None:
    done = fresh.eb("plan", "manifest.yaml", "--json", "chip/compile")
    assert done.code == 0, done.err
    assert sum(row["state"] == "run" for row in done.json()["actions"]) == 2


def test_overrides_are_part_of_the_plan(fresh: Workspace) -> None:
    rows = fresh.eb(
        "commands", "manifest.yaml", "chip/compile", "--set", "targets.chip.options.level=7", "--json"
    )
    assert rows.json()["commands"][-1]["argv"][-2:] == ["--level", "7"]


@pytest.mark.parametrize("verb", ["plan", "commands", "check", "doctor", "explain"])
def test_no_colour_where_nobody_looks(fresh: Workspace, verb: str) -> None:
    words = (verb,) if verb == "doctor" else (verb, "manifest.yaml")
    assert not fresh.eb(*words, variables={"TERM": "xterm-256color"}).coloured


def test_printed_commands_are_what_bash_accepts(fresh: Workspace) -> None:
    fresh.edit("name: shelf", "name: shelf-2")
    text = fresh.eb("commands", "manifest.yaml").out
    checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    compile_line = (
        "shellyc --model build/shelf-2/export/model.onnx --output build/shelf-2/chip/compile/model.shelly"
    )
    assert f"{compile_line} --level 1\n" in text
    assert "python -m edgebuild.steps.export --weights weights/tiny.pt" in text


def test_doctor_shows_the_toolchains_and_the_cache(fresh: Workspace) -> None:
    found = fresh.eb("doctor", "--json").json()
    tools = {tool["name"]: tool for row in found["toolchains"] for tool in row["tools"]}
    assert tools["shellyc"]["usable"]
    assert tools["shellyc"]["version"] == "1.2.0"
    assert not tools["atc"]["usable"]
    assert "CANN" in tools["atc"]["get"]
    assert found["cache"]["path"] == str(fresh.cache)
    text = fresh.eb("doctor").out
    assert "ok      shellyc 1.2.0 (supported >=1,<3)" in text
    assert "missing atc" in text


def test_a_first_manifest_is_one_that_checks(fresh: Workspace) -> None:
    words = ("--weights", "weights/tiny.pt", "--data", "data/data.yaml", "--imgsz", "64")
    done = fresh.eb("init", "first.yaml", *words)
    assert done.code == 0
    assert "edgebuild check first.yaml" in done.out
    assert fresh.eb("check", "first.yaml").code == 0
    again = fresh.eb("init", "first.yaml")
    assert again.code == 2
    assert "is there already" in again.err
    (fresh.folder / "my #1.pt").symlink_to("weights/tiny.pt")
    (fresh.folder / "sub").mkdir()
    odd = ("--weights", "my #1.pt", "--data", "data/data.yaml", "--imgsz", "64", "--name", "1.0")
    assert fresh.eb("init", "sub/odd.yaml", *odd).code == 0
    assert fresh.eb("check", "sub/odd.yaml").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--name", "A b"), "name: 'A b' is not allowed"), (("--imgsz", "0"), "imgsz: must be at least")],
)
def test_a_first_manifest_that_would_not_check_is_not_written(
    fresh: Workspace, words: tuple[str, ...], said: str
) -> None:
    done = fresh.eb("init", "first.yaml", *words)
    assert done.code == 2
    assert said in done.err
    assert not (fresh.folder / "first.yaml").exists()


def test_of_several_manifests_a_wrong_one_stops_all_before_any_step(fresh: Workspace) -> None:
    text = fresh.manifest.read_text(encoding="utf-8")
    (fresh.folder / "b.yaml").write_text(text.replace("imgsz: 64", "imgsz: 65"), encoding="utf-8")
    done = fresh.eb("run", "manifest.yaml", "b.yaml", "-k", "--json")
    assert (done.code, list(done.json())) == (2, ["schema", "error"])
    assert "b.yaml:6:10: model.imgsz" in done.err
    assert not (fresh.folder / "build").exists()


def test_what_is_refused_is_a_document_too(fresh: Workspace) -> None:
    text = fresh.manifest.read_text(encoding="utf-8")
    (fresh.folder / "b.yaml").write_text(text.replace("imgsz: 64", "imgsz: 65"), encoding="utf-8")
    for verb in ("run", "plan", "commands", "explain", "calibrate"):
        done = fresh.eb(verb, "b.yaml", "--json")
        assert done.code == 2
        error = done.json()["error"]
        (problem,) = error["problems"]
        assert (problem["file"], problem["line"], problem["path"]) == ("b.yaml", 6, "model.imgsz")
        assert f"edgebuild: {error['message']}" in done.err
    (fresh.tools / "shellyc").unlink()
    done = fresh.eb("run", "manifest.yaml", "--json")
    assert (done.code, done.json()["error"]["code"]) == (5, 5)
    assert "get it: Build it from the tests." in done.json()["error"]["message"]
    checked = fresh.eb("check", "manifest.yaml", "b.yaml", "--json")
    document = checked.json()
    assert checked.code == 2
    assert [row["path"] for row in document["problems"]] == ["model.imgsz"]
    (sound,) = document["manifests"]
    assert (sound["targets"], sound["images"]) == (3, {"val": 6, "train": 8})
    assert "shellyc is not on PATH" in sound["unavailable"]["chip"]


def test_a_place_that_cannot_be_written_is_one_line(fresh: Workspace) -> None:
    (fresh.folder / ".edgebuild").write_text("in the way", encoding="utf-8")
    done = fresh.eb("run", "manifest.yaml")
    assert done.code == 8
    assert ".edgebuild" in done.err
    assert "Traceback" not in done.err


def test_a_manifest_is_found_from_anywhere(fresh: Workspace) -> None:
    here = fresh.eb("plan", "manifest.yaml", "--json")
    elsewhere = fresh.eb("plan", str(fresh.manifest), "--json")
    assert here.json() == elsewhere.json()


def test_a_plan_takes_the_words_of_a_run_that_decide_what_runs(fresh: Workspace) -> None:
    (fresh.tools / "shellyc").unlink()  # a plan needs nothing to be installed
    words = ("chip", "int8", "--until", "validate", "--force", "--compare", "--skip-unavailable")
    done = fresh.eb("plan", "manifest.yaml", *words, "--exit-code")
    assert done.code == 10, done.err
    assert "skipped  chip/compile" in done.out
    assert "forced: --force" in done.out
    both = fresh.eb("plan", "manifest.yaml", "manifest.yaml", "--json").json()
    assert [len(one["actions"]) > 1 for one in both["plans"]] == [True, True]
    drawn = fresh.eb("plan", "manifest.yaml", "manifest.yaml", "--format", "dot")
    assert (drawn.code, drawn.err) == (2, "edgebuild: --format dot draws one manifest\n  name one of them\n")


def test_a_reader_that_leaves_early_is_no_error(fresh: Workspace) -> None:
    with fresh.start("commands", "manifest.yaml") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert not process.stderr.read()
    assert process.returncode == 0


@pytest.mark.yolo
def test_a_dry_run_tells_ci_that_there_is_work(fresh: Workspace) -> None:
    assert fresh.eb("run", "manifest.yaml", "--dry-run").code == 0
    pending = fresh.eb("run", "manifest.yaml", "-n", "--exit-code", "--json")
    assert pending.code == 10
    assert {row["state"] for row in json.loads(pending.out)["actions"]} == {"run"}
    assert not (fresh.folder / "build").exists()
