"""Two checkouts that share nothing but a cache behind nginx, good days and bad."""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.remote_workspaces import (
    CHANGE,
    Remote,
    artifacts,
    checkout,
    delivered,
    has_blob,
    last_results,
    run,
    said,
    upload_all,
    warnings,
)
from tests.e2e.workspace import finish
from tests.servers import PASSWORD, USER, free_port, nginx
from tests.unit.fault_server import fault_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

CHIP = {"chip/compile", "chip/verdict", "chip/package"}
"""What a change of the compiler's option may make run; a verdict whose inputs are the same does not."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("nginx")
    with nginx(folder) as url:
        log = folder / "access.log"
        yield Remote(url=f"{url}/open/full", variables={}, files=folder / "files/open/full", log=log)


@pytest.fixture
def fresh_remote(server: Remote, tmp_path: Path) -> Remote:
    """An empty place on the same server."""
    assert server.files is not None
    name = tmp_path.name
    url = server.url.removesuffix("full") + name
    return replace(server, url=url, files=server.files.with_name(name))


@pytest.fixture(scope="module")
def writer(master: Workspace, server: Remote) -> Workspace:
    """A machine that has built everything, and the server has all of it. Not to be changed."""
    upload_all(master, server)
    return master


def test_a_second_checkout_downloads_what_is_delivered_and_runs_nothing(
    writer: Workspace, server: Remote, tmp_path: Path
) -> None:
    reader = checkout(writer, tmp_path)
    for words in (("plan",), ("run", "--dry-run"), ("explain",)):
        looked = reader.eb(*words, "manifest.yaml", "--json", "--remote", server.url)
        assert {row["state"] for row in looked.json()["actions"]} == {"cached"}
    ran = run(reader, server)
    assert ran.code == 0, ran.done.err
    assert ran.ran == set()
    assert delivered(reader) == delivered(writer)
    assert delivered(reader)
    counts = said(ran, server)
    assert counts.keys() == {"hit", "missed", "files down"}
    assert (counts["hit"], counts["missed"]) == (len(last_results(writer)), 0)
    assert not warnings(ran)
    # What lies between is not downloaded: nobody is given what calibration reads.
    tensors = artifacts(writer, "calibrate")["tensors"]
    assert has_blob(writer, tensors)
    assert not has_blob(reader, tensors)
    model = artifacts(writer, "quantize")["model"]
    assert has_blob(reader, model)
    again = run(reader, server)
    assert again.ran == set()
    assert again.ids("cached") == set()
    # Nor is it missed, as long as nobody reads it: without the remote all is current, and the store sound.
    planned = reader.eb("plan", "manifest.yaml", "--json")
    assert {row["state"] for row in planned.json()["actions"]} == {"current"}
    verified = reader.eb("cache", "verify", "--json")
    assert (verified.code, verified.json()["bad"]) == (0, [])
    assert verified.json()["elsewhere"] > 0
    assert reader.eb("cache", "pin", "now", "manifest.yaml").code == 0
    changed = reader.run(*CHANGE)
    assert changed.code == 0, changed.done.err
    # What the changed step reads, and what a verdict on what it leaves would read.
    assert changed.ran <= CHIP | {"export", "chip/validate"}


def test_a_change_downloads_only_what_the_new_work_reads(
    writer: Workspace, server: Remote, tmp_path: Path
) -> None:
    reader = checkout(writer, tmp_path)
    assert run(reader, server).ran == set()
    asked = len(server.asked())
    ran = run(reader, server, *CHANGE)
    assert ran.code == 0, ran.done.err
    assert "chip/compile" in ran.ran
    assert ran.ran <= CHIP
    blobs = [line.rpartition("/")[2] for line in server.asked()[asked:] if "/cas/" in line]
    assert len(blobs) == len(set(blobs)) < 6


def test_a_reader_changes_nothing_on_the_server(writer: Workspace, server: Remote, tmp_path: Path) -> None:
    assert server.files is not None
    before = {path: path.stat().st_mtime_ns for path in server.files.rglob("*")}
    reader = checkout(writer, tmp_path)
    assert run(reader, server, *CHANGE).code == 0
    assert {path: path.stat().st_mtime_ns for path in server.files.rglob("*")} == before


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_package_that_is_damaged_on_the_server_is_made_again(
    writer: Workspace, server: Remote, fresh_remote: Remote, tmp_path: Path, damage: str
) -> None:
    assert server.files is not None
    assert fresh_remote.files is not None
    shutil.copytree(server.files, fresh_remote.files)
    digest = next(iter(artifacts(writer, "chip/package").values()))
    blob = fresh_remote.blob(digest)
    good = blob.read_bytes()
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]) if damage == "flip" else good[:-9])
    both = checkout(writer, tmp_path)
    ran = run(both, fresh_remote, mode="read-write")
    assert ran.code == 0, ran.done.err
    assert ran.ran == {"chip/package"}
    assert delivered(both) == delivered(writer)
    assert said(ran, fresh_remote).get("damaged", 0) == (damage != "gone")
    assert len(warnings(ran)) == (damage != "gone")
    assert blob.read_bytes() == good  # and the remote is whole again


def test_another_result_for_the_same_key_is_a_finding_and_not_uploaded(
    built: Workspace, fresh_remote: Remote, tmp_path: Path
) -> None:
    first = built
    ran = run(first, fresh_remote, *CHANGE, mode="read-write")
    assert ran.code == 0, ran.done.err
    assert said(ran, fresh_remote)["results"] >= len(ran.ran) > 0  # what was there before is shared as well
    assert fresh_remote.files is not None
    before = {path: path.read_bytes() for path in (fresh_remote.files / "ac").iterdir()}
    other = first.copy(tmp_path / "other")
    other.tool_mode("level")  # the same tool by its version, other bytes
    ran = run(other, fresh_remote, *CHANGE, "--force", "chip/compile", mode="read-write")
    assert ran.ran == {"chip/compile"}
    [finding] = warnings(ran)
    assert "chip/compile" in finding
    assert "model came out different" in finding
    for path, data in before.items():
        assert path.read_bytes() == data


@pytest.mark.parametrize("fault", ["refused", "500", "401", "hang", "flip", "cut"])
def test_a_bad_remote_is_a_warning_and_the_build_goes_on(built: Workspace, fault: str) -> None:
    with fault_server() as faults:
        faults.always = fault
        base = f"127.0.0.1:{free_port()}" if fault == "refused" else faults.url.removeprefix("http://")
        remote = Remote(url=f"http://me:secret@{base}", variables={"EDGEBUILD_REMOTE_TIMEOUT": "0.5"})
        ran = run(built, remote, *CHANGE, mode="read-write")
    assert ran.code == 0, ran.done.err
    assert "chip/compile" in ran.ran
    assert "secret" not in ran.done.err + ran.done.out
    if fault in {"flip", "cut"}:  # on an empty server there is nothing to damage
        return
    [warning] = warnings(ran)
    assert f"http://{base}" in warning


def test_wrong_and_right_credentials(built: Workspace, server: Remote) -> None:
    secret = server.url.replace("/open/full", "/secret/x")
    wrong = run(built, replace(server, url=secret), *CHANGE, mode="read-write")
    assert wrong.code == 0
    assert "credentials" in wrong.done.err
    right = replace(server, url=secret.replace("://", f"://{USER}:{PASSWORD}@"))
    ran = run(built, right, "--set", "targets.chip.options.level=7", mode="read-write")
    assert said(ran, right)["results"] >= len(ran.ran) > 0
    assert PASSWORD not in ran.done.out + ran.done.err


def test_ctrl_c_does_not_wait_for_uploads(built: Workspace) -> None:
    with fault_server() as faults:
        faults.always = "hang"
        words = ("--remote", faults.url, "--remote-mode", "read-write")
        built.tool_mode("hang")
        process = built.start(
            "run", "manifest.yaml", *CHANGE, *words, variables={"EDGEBUILD_REMOTE_TIMEOUT": "1"}
        )
        log = built.folder / ".edgebuild/shelf/logs/chip.compile.log"
        end = time.monotonic() + 120
        while not (log.exists() and "hanging" in log.read_text(encoding="utf-8")):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        done = finish(process, within=60)
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_wrong_address_is_a_mistake(fresh: Workspace) -> None:
    done = fresh.eb("run", "manifest.yaml", "--remote", "gopher://x/y")
    assert done.code == 2
    assert "gopher" in done.err
    variables = {"EDGEBUILD_REMOTE": "memory://x", "EDGEBUILD_REMOTE_MODE": "write"}
    done = fresh.eb("run", "manifest.yaml", variables=variables)
    assert done.code == 2
    assert "'write' is no mode" in done.err
