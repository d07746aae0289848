from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import Finding, LogRule, Output, Success
from edgebuild.cache.store import Store
from edgebuild.digest import digest_bytes
from edgebuild.errors import StepError
from edgebuild.perform.collect import as_ruled, check_log, collect_outputs, find, read_log, said_findings
from tests.unit.workbench import shell

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.action import Artifact


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "scratch" / "out").mkdir(parents=True)
    return tmp_path / "scratch" / "out"


def collect(tmp_path: Path, *outputs: Output) -> tuple[Artifact, ...]:
    action = shell("step", "", out=outputs)
    return collect_outputs(action, tmp_path / "scratch", Store(tmp_path / "store"))


FILE = Output(role="out", path="sub/model.bin", magic="7f45")
TREE = Output(role="out", path="images", tree=True)


class TestOutputs:
    def test_a_file_is_moved_into_the_store(self, tmp_path: Path, out: Path) -> None:
        (out / "sub").mkdir()
        (out / "sub/model.bin").write_bytes(b"\x7fE rest")
        (artifact,) = collect(tmp_path, FILE)
        assert (artifact.role, artifact.size, artifact.tree) == ("out", 7, False)
        assert artifact.digest == digest_bytes(b"\x7fE rest")
        assert Store(tmp_path / "store").has_artifact(artifact)

    def test_a_tree_keeps_its_names(self, tmp_path: Path, out: Path) -> None:
        (out / "images/deep").mkdir(parents=True)
        (out / "images/empty").mkdir()
        (out / "images/b").write_bytes(b"b")
        (out / "images/deep/a").write_bytes(b"")
        (artifact,) = collect(tmp_path, TREE)
        assert [row[0] for row in artifact.entries] == ["b", "deep/a"]
        assert artifact.size == 1
        assert Store(tmp_path / "store").has_artifact(artifact)

    def test_a_tree_holds_what_only_a_finished_tool_leaves(self, tmp_path: Path, out: Path) -> None:
        (out / "images").mkdir()
        (out / "images/a.json").write_bytes(b"{}")
        wanted = Output(role="out", path="images", tree=True, holds=("a.json", "b/c.json"))
        with pytest.raises(StepError, match=r"holds no b/c\.json: the tool did not finish"):
            collect(tmp_path, wanted)
        (out / "images/b").mkdir()
        (out / "images/b/c.json").write_bytes(b"{}")
        assert len(collect(tmp_path, wanted)) == 1

    def test_a_finding_can_hold_whatever_the_log_says(self) -> None:
        rule = LogRule(pattern="", id="board", level="note", message="mind the board", hint="look")
        wanted = (Finding(id="board", level="note", message="mind the board", hint="look"),)
        assert find([rule], "") == find([rule], "a\nb") == wanted

    def test_a_report_says_what_it_must(self, tmp_path: Path, out: Path) -> None:
        wanted = Output(role="out", path="report.json", matches='"status": "OK"')
        (out / "report.json").write_text('{"status": "BAD"}', encoding="utf-8")
        with pytest.raises(StepError, match="has nothing that matches"):
            collect(tmp_path, wanted)
        (out / "report.json").write_text('{"status": "OK"}', encoding="utf-8")
        assert len(collect(tmp_path, wanted)) == 1

    def test_one_bad_output_and_none_is_taken(self, tmp_path: Path, out: Path) -> None:
        (out / "good").write_bytes(b"x")
        with pytest.raises(StepError):
            collect(tmp_path, Output(role="good", path="good"), Output(role="bad", path="bad"))
        assert not (tmp_path / "store").exists()

    def test_a_missing_file(self, tmp_path: Path, out: Path) -> None:
        with pytest.raises(StepError, match=r"'sub/model\.bin' was not made"):
            collect(tmp_path, FILE)
        (out / "sub/model.bin").mkdir(parents=True)
        with pytest.raises(StepError, match=r"'sub/model\.bin' was not made"):
            collect(tmp_path, FILE)

    def test_an_empty_file(self, tmp_path: Path, out: Path) -> None:
        (out / "sub").mkdir()
        (out / "sub/model.bin").touch()
        with pytest.raises(StepError, match="is empty"):
            collect(tmp_path, FILE)

    @pytest.mark.parametrize("data", [b"\x7f", b"\x7fF", b"ELF"])
    def test_the_wrong_first_bytes(self, tmp_path: Path, out: Path, data: bytes) -> None:
        (out / "sub").mkdir()
        (out / "sub/model.bin").write_bytes(data)
        with pytest.raises(StepError, match=f"starts with {data[:2].hex()}, not with 7f45"):
            collect(tmp_path, FILE)

    def test_a_link_to_a_file_elsewhere(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "model.bin").write_bytes(b"\x7fE")
        (out / "sub").mkdir()
        (out / "sub/model.bin").symlink_to(tmp_path / "model.bin")
        with pytest.raises(StepError, match=r"is a symbolic link"):
            collect(tmp_path, FILE)
        assert (tmp_path / "model.bin").exists()

    def test_a_folder_on_the_way_that_leads_elsewhere(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere/model.bin").write_bytes(b"\x7fE")
        (out / "sub").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StepError, match=r"is a symbolic link \(sub\)"):
            collect(tmp_path, FILE)
        assert (tmp_path / "elsewhere/model.bin").exists()

    @pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
    def test_a_tree_with_something_else_than_files(self, tmp_path: Path, out: Path, kind: str) -> None:
        (out / "images").mkdir()
        (out / "images/a").write_bytes(b"a")
        if kind == "pipe":
            os.mkfifo(out / "images/odd")
        else:
            (out / "images/odd").symlink_to("a" if kind == "link" else tmp_path)
        with pytest.raises(StepError, match="holds 'odd', which is a link or no regular file"):
            collect(tmp_path, TREE)

    def test_a_tree_without_files(self, tmp_path: Path, out: Path) -> None:
        with pytest.raises(StepError, match="not made"):
            collect(tmp_path, TREE)
        (out / "images/only/folders").mkdir(parents=True)
        with pytest.raises(StepError, match="without files"):
            collect(tmp_path, TREE)

    def test_a_file_where_a_tree_should_be(self, tmp_path: Path, out: Path) -> None:
        (out / "images").write_bytes(b"x")
        with pytest.raises(StepError, match="not a directory"):
            collect(tmp_path, TREE)


class TestLog:
    def test_what_it_must_say(self) -> None:
        action = shell("step", "", success=Success(log_has=("run success$",)))
        check_log(action, "one\nATC run success\n")
        with pytest.raises(StepError, match="no line matching 'run success"):
            check_log(action, "one\nATC run success, almost\n")

    def test_what_it_must_not_say(self) -> None:
        action = shell("step", "", success=Success(log_lacks=("run failed|fatal",)))
        check_log(action, "fine\n")
        with pytest.raises(StepError, match="exited 0, but its log says 'this is fatal'"):
            check_log(action, "fine\n  this is fatal\nfine again\n")

    def test_what_went_wrong_is_said_before_what_is_missing_because_of_it(self) -> None:
        action = shell("step", "", success=Success(log_has=("^done$",), log_lacks=("ERROR",)))
        with pytest.raises(StepError, match="its log says 'ERROR: no memory'"):
            check_log(action, "ERROR: no memory\n")

    def test_only_what_follows_counts(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_bytes(b"# success\n\xff\xe9\r\nnow\r")
        assert read_log(tmp_path / "log", 10) == "\ufffd\ufffd\nnow\n"
        assert read_log(tmp_path / "log").startswith("# success\n")

    def test_an_earlier_finding_has_the_level_and_hint_of_today(self) -> None:
        said = (
            Finding(id="cpu", level="note", message="Conv runs on the CPU", hint="old"),
            Finding(id="two", level="warning", message="mode: b", hint=""),
            Finding(id="gone", level="warning", message="x", hint=""),
        )
        rules = (
            LogRule(pattern="on the CPU", id="cpu", level="error", hint="new"),
            LogRule(pattern="mode: a", id="two", level="error"),
            LogRule(pattern="mode: b", id="two", level="note"),
        )
        found = as_ruled(said, rules)
        assert [(one.level, one.hint) for one in found] == [("error", "new"), ("note", ""), ("warning", "")]

    def test_colours_and_titles_are_no_words(self, tmp_path: Path) -> None:
        said = b"\x1b]0;acme\x07\x1b[1;31m[acme] E:\x1b[0m no\x1b[K such layer\x1b(B \x1b[?25l[1] 7\n"
        (tmp_path / "log").write_bytes(said)
        assert read_log(tmp_path / "log") == "[acme] E: no such layer [1] 7\n"

    def test_each_rule_is_found_once_with_its_first_line(self) -> None:
        rules = (
            LogRule(pattern=r"fall.*CPU", id="cpu", hint="change it"),
            LogRule(pattern="never", id="never"),
            LogRule(pattern=r"^E\d+", id="error", level="error"),
        )
        found = find(rules, "  op A falls back to CPU  \nop B falls back to CPU\nE42 bad\n")
        assert [(f.id, f.level, f.message, f.hint) for f in found] == [
            ("cpu", "warning", "op A falls back to CPU", "change it"),
            ("error", "error", "E42 bad", ""),
        ]

    def test_no_rule_finds_nothing(self) -> None:
        assert find((), "anything") == ()


class TestSaid:
    def test_a_step_of_ours_says_what_a_person_should_know_once(self) -> None:
        row = '{"id": "shift", "level": "warning", "message": "darker", "hint": "add night"}'
        text = f"@finding {row}\nother\n@finding {row}\n@progress 1/2 images\n"
        assert said_findings(text) == (
            Finding(id="shift", level="warning", message="darker", hint="add night"),
        )

    @pytest.mark.parametrize(
        "line", ["@finding", "@finding {", "@finding []", '@finding {"id": "x"}',
                 '@finding {"id": "x", "level": "fatal", "message": "m"}']
    )  # fmt: skip
    def test_a_line_that_is_none_is_left_alone(self, line: str) -> None:
        assert said_findings(line) == ()
