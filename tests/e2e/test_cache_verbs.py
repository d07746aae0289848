"""``edgebuild cache`` as people and CI use it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.cache.store import Store
from edgebuild.cli import main as cli
from edgebuild.digest import digest_bytes
from tests.e2e.workspace import REPOSITORY, Done
from tests.unit.storage import keys, put, put_blob

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Workspace

VERBS = ("stats", "gc", "verify", "pin", "unpin", "pins", "clear")


class Cache:
    """A store with a few results of different age, and the command line in this process."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self.old = put(root, "x" * 3000, step="export", days=45)
        self.young = put(root, "young", step="package", days=2)
        self.loose = put_blob(root, "loose")

    def __call__(self, *words: str) -> Done:
        self._capsys.readouterr()
        try:
            code = cli.main(["cache", *words])
        except SystemExit as error:
            code = int(error.code or 0)
        said = self._capsys.readouterr()
        return Done(code=code, out=said.out, err=said.err)

    def json(self, *words: str) -> dict[str, Any]:
        done = self(*words, "--json")
        assert done.code == 0, done.err
        found: dict[str, Any] = done.json()
        assert found["schema"] == 1
        return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cache:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGEBUILD_REMOTE", raising=False)
    return Cache(tmp_path / "cache", capsys)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example_of_it(cache: Cache, verb: str) -> None:
    done = cache(verb, "--help")
    assert done.code == 0
    assert f"example:\n  edgebuild cache {verb}" in done.out
    assert "--json" in done.out


class TestStats:
    def test_in_words(self, cache: Cache) -> None:
        text = cache("stats").out
        assert f"store       {cache.root}\n" in text
        assert "records     2 " in text
        assert "blobs       3 (3.0 kB), 1 (5 B) named by no record" in text
        assert "last use    from 45 d to 2 d ago" in text
        assert re.search(r"^disk +[\d.]+ .B free of", text, re.MULTILINE)
        assert re.search(r"^export +1 +3\.0 kB$", text, re.MULTILINE)

    def test_as_a_document(self, cache: Cache) -> None:
        (cache.root / "quarantine").mkdir()
        (cache.root / "quarantine" / "bad").write_bytes(b"1234")
        found = cache.json("stats")
        assert found["records"]["count"] == 2
        assert found["blobs"] == {"count": 3, "bytes": 3010, "unnamed": {"count": 1, "bytes": 5}}
        assert [(row["step"], row["records"], row["bytes"]) for row in found["steps"]] == [
            ("export", 1, 3000),
            ("package", 1, 5),
        ]
        assert found["used"]["oldest"] < found["used"]["newest"]
        assert found["quarantine"] == {"count": 1, "bytes": 4}
        assert found["disk"]["free"] > 0

    def test_of_a_store_that_is_not_there(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEBUILD_CACHE", str(cache.root / "none" / "here"))
        assert cache.json("stats")["records"]["count"] == 0
        assert cache.json("gc", "--max-age", "1d")["freed"] == 0
        assert cache.json("verify")["bad"] == []
        assert cache.json("pins")["pins"] == []
        assert not (cache.root / "none").exists()


class TestGc:
    def test_without_limits_only_garbage_goes(self, cache: Cache) -> None:
        done = cache("gc")
        assert done.code == 0
        assert "removed 1 blob: 5 B\n" in done.out
        assert keys(cache.root) == {cache.old, cache.young}

    def test_a_dry_run_names_what_would_go_and_its_bytes_and_removes_nothing(self, cache: Cache) -> None:
        lines = cache("gc", "--max-age", "30d", "--dry-run").out.splitlines()
        first = rf"record   {cache.old[:12]}  export +3\.\d kB  last used 45 d ago  \(age\)"
        assert re.fullmatch(first, lines[0])
        assert re.fullmatch(r"would remove 1 record, 2 blobs: 3\.\d kB", lines[1])
        assert keys(cache.root) == {cache.old, cache.young}
        assert cache("gc").out.startswith("removed 1 blob")
        assert cache("gc").out.startswith("removed nothing\n")

    def test_the_document_of_a_dry_run_is_that_of_the_real_one(self, cache: Cache) -> None:
        would = cache.json("gc", "--max-age", "30d", "-n")
        assert would["dry_run"]
        did = cache.json("gc", "--max-age", "30d")
        assert did == would | {"dry_run": False}
        assert [row["key"] for row in did["chosen"]] == [cache.old]
        assert did["chosen"][0]["reason"] == "age"
        assert keys(cache.root) == {cache.young}

    def test_a_size_takes_the_least_recently_used_first(self, cache: Cache) -> None:
        found = cache.json("gc", "--max-size", "1kB")
        assert keys(cache.root) == {cache.young}
        assert found["left"] <= 1000
        assert found["reached"]

    def test_a_size_that_pins_alone_exceed(self, cache: Cache) -> None:
        cache("pin", cache.old)
        done = cache("gc", "--max-size", "1kB")
        assert done.code == 0
        assert "that is more than --max-size" in done.out
        assert keys(cache.root) == {cache.old}

    @pytest.mark.parametrize(
        "words", [("--max-size", "5xx"), ("--max-age", "30"), ("--max-age", "-1d"), ("--keep-runs", "x")]
    )
    def test_a_limit_that_is_none_is_a_mistake(self, cache: Cache, words: tuple[str, str]) -> None:
        assert cache("gc", *words).code == 2
        assert keys(cache.root) == {cache.old, cache.young}


class TestVerify:
    def damage(self, cache: Cache) -> Path:
        path = Store(cache.root).blob(digest_bytes(b"young"))
        path.chmod(0o644)
        path.write_bytes(b"Young")
        return path

    def test_a_sound_store(self, cache: Cache) -> None:
        done = cache("verify")
        assert done == Done(code=0, out="2 records, 3 blobs (3.0 kB): all sound\n", err="")

    def test_damage_is_told_and_left_and_the_exit_code_is_8(self, cache: Cache) -> None:
        path = self.damage(cache)
        done = cache("verify")
        assert done.code == 8
        assert f"blob       {path}: its bytes are sha256:" in done.out
        assert "2 bad\n" in done.out
        assert "cache verify --repair" in done.err
        assert path.exists()
        assert cache("verify", "--json").code == 8

    def test_a_repair_puts_it_aside(self, cache: Cache) -> None:
        self.damage(cache)
        found = cache.json("verify", "--repair")
        assert {row["kind"] for row in found["bad"]} == {"blob", "incomplete"}
        assert found["repaired"] == 2
        assert cache("verify").code == 0
        assert keys(cache.root) == {cache.old}
        assert cache.json("stats")["quarantine"]["count"] == 2

    def test_with_a_remote_a_missing_blob_is_none_of_its_business(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Store(cache.root).blob(digest_bytes(b"young")).unlink()
        assert cache("verify").code == 8
        monkeypatch.setenv("EDGEBUILD_REMOTE", "https://example.com/cache")
        assert cache("verify").code == 0


class TestPins:
    def test_a_key_is_pinned_listed_and_unpinned(self, cache: Cache) -> None:
        assert cache("pin", cache.old[:16]).out == f"pinned 1 result as {cache.old[:12]}\n"
        assert f"key {cache.old}" in cache("pins").out
        assert cache.json("pins")["pins"][0]["keys"] == [cache.old]
        cache("gc", "--max-age", "0s")
        assert keys(cache.root) == {cache.old}
        assert cache("unpin", cache.old[:12]).out == f"unpinned {cache.old[:12]}\n"
        cache("gc", "--max-age", "0s")
        assert keys(cache.root) == set()

    def test_what_is_none_cannot_be_pinned_or_unpinned(self, cache: Cache) -> None:
        done = cache("pin", "1.4.0")
        assert done.code == 2
        assert "the store has no record of 1.4.0" in done.err
        assert cache("unpin", "1.4.0").code == 2

    def test_a_manifest_that_is_not_built_cannot_be_pinned(self, fresh: Workspace) -> None:
        done = fresh.eb("cache", "pin", "1.4.0", "manifest.yaml", "chip/compile")
        assert done.code == 2
        assert "there is no result of export, chip/compile" in done.err
        assert "edgebuild run manifest.yaml" in done.err
        (fresh.tools / "shellyc").unlink()
        done = fresh.eb("cache", "pin", "1.4.0", "manifest.yaml", "chip")
        assert done.code == 2
        assert "nothing of this can be built here" in done.err
        assert "chip: shellyc is not on PATH" in done.err
        assert fresh.eb("cache", "pins").out == ""


class TestClear:
    def test_nobody_to_ask_and_no_yes(self, cache: Cache) -> None:
        done = cache("clear")
        assert done.code == 2
        assert "this would remove 2 records, 3 blobs: 3." in done.err
        assert "--yes" in done.err
        assert keys(cache.root) == {cache.old, cache.young}

    def test_everything_but_pins(self, cache: Cache) -> None:
        cache("pin", cache.young)
        done = cache("clear", "--yes")
        assert done.code == 0
        assert "removed 1 record, 2 blobs" in done.out
        assert keys(cache.root) == {cache.young}
        assert cache("verify").code == 0

    @pytest.mark.parametrize(("answer", "left"), [("y", 0), ("yes", 0), ("", 2), ("n", 2), ("maybe", 2)])
    def test_a_person_is_asked(self, cache: Cache, answer: str, left: int) -> None:
        said = on_a_terminal(("cache", "clear"), f"{answer}\n", cache.root)
        assert f"{cache.root}: remove 2 records, 3 blobs: 3." in said
        assert "? Pins stay. [y/N]" in said
        assert len(keys(cache.root)) == left
        assert ("nothing was removed" in said) == bool(left)

    def test_a_check_on_a_terminal_shows_how_far_it_is(self, cache: Cache) -> None:
        said = on_a_terminal(("cache", "verify"), "", cache.root)
        assert "\rchecked 3.0 kB of 3.0 kB" in said
        assert "all sound" in said


def on_a_terminal(words: tuple[str, ...], typed: str, root: Path) -> str:
    """Use the command line on a terminal, type something, and return what it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebuild", *words],
        env={"PYTHONPATH": str(REPOSITORY), "EDGEBUILD_CACHE": str(root), "PATH": os.defpath},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(master, 4096):
            shown += data
    os.close(master)
    assert process.wait() == 0
    return shown.decode()


def level(workspace: Workspace, number: int) -> None:
    text = workspace.manifest.read_text(encoding="utf-8")
    workspace.manifest.write_text(re.sub(r"level: \d", f"level: {number}", text), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.yolo
class TestWithRuns:
    def test_what_a_workspace_came_to_stays_and_what_it_came_to_before_goes(self, built: Workspace) -> None:
        for name in ("workspaces", "uses"):  # those of the workspace that this is a copy of
            shutil.rmtree(built.cache / name)
        assert not built.run().ran
        built.tool_mode("level")
        level(built, 2)
        assert "chip/compile" in built.run().ran
        stats = built.eb("cache", "stats", "--json").json()
        assert stats["records"]["roots"] < stats["records"]["count"]
        assert str(built.folder / ".edgebuild" / "shelf" / "journal.jsonl") in {
            row["journal"] for row in stats["workspaces"] if row["there"]
        }
        done = built.eb("cache", "gc", "--max-age", "0s", "--keep-runs", "1", "--json").json()
        assert "compile" in {row["step"] for row in done["chosen"]}
        assert built.eb("cache", "verify").code == 0
        assert not built.run().ran
        level(built, 1)
        assert "chip/compile" in built.run().ran

    def test_a_pinned_release_is_there_when_it_is_wanted_again(self, built: Workspace) -> None:
        pinned = built.eb("cache", "pin", "1.0.0", "manifest.yaml", "--json").json()
        assert len(pinned["keys"]) == len(set(pinned["keys"])) > 15
        level(built, 3)
        built.run()
        built.eb("cache", "clear", "--yes")
        assert keys(built.cache) == set(pinned["keys"])
        level(built, 1)
        assert not built.run().ran

    def test_runs_beside_a_removal_that_never_ends(self, built: Workspace) -> None:
        """Every run brings a new result and goes back to a former one, and none fails or is wrong."""
        over = threading.Event()
        removed: list[int] = []

        def remove() -> None:
            while not over.is_set():
                done = built.eb("cache", "clear", "--yes", "--json")
                assert done.code == 0, done.err
                removed.append(done.json()["freed"])

        thread = threading.Thread(target=remove)
        built.tool_mode("level")
        thread.start()
        try:
            for number in (2, 1):
                level(built, number)
                ran = built.run("chip/compile")
                assert ran.code == 0, ran.done.err
                assert ran.ids("failed") == set()
        finally:
            over.set()
            thread.join()
        assert sum(removed) > 0
        assert built.eb("cache", "verify").code == 0


def test_a_document_is_the_only_thing_on_standard_output(cache: Cache) -> None:
    for words in (("stats",), ("gc",), ("verify",), ("pin", cache.old), ("pins",), ("clear", "--yes")):
        done = cache(*words, "--json")
        assert json.loads(done.out)["schema"] == 1
        assert done.err == ""
