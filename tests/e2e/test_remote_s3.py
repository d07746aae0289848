"""A cache in a bucket of an S3-compatible server, written by one checkout and read by another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.remote_workspaces import CHANGE, Remote, delivered, run, said
from tests.servers import free_port, s3_server, s3_variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]


@pytest.fixture(scope="module")
def server() -> Iterator[Remote]:
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        variables = s3_variables(url)
        for name, value in variables.items():
            patch.setenv(name, value)
        import fsspec

        # Not the instance that another module may have made for a server of its own.
        fsspec.filesystem("s3", skip_instance_cache=True, endpoint_url=url).mkdir("results")
        yield Remote(url="s3://results/edgebuild", variables=variables)


def test_what_one_checkout_made_the_other_has(built: Workspace, server: Remote, tmp_path: Path) -> None:
    other = built.copy(tmp_path / "other")
    ran = run(built, server, *CHANGE, mode="read-write")
    assert ran.code == 0, ran.done.err
    assert "chip/compile" in ran.ran
    assert said(ran, server)["results"] >= len(ran.ran), ran.done.err  # what was there before is shared too
    read = run(other, server, *CHANGE)
    assert read.code == 0, read.done.err
    assert read.ran == set()
    assert read.ids("cached") == ran.ran
    assert delivered(other) == delivered(built)
    assert said(read, server)["files down"] > 0


def test_a_bucket_that_is_not_there_is_a_warning(built: Workspace, server: Remote) -> None:
    absent = Remote(url="s3://absent/edgebuild", variables=server.variables)
    ran = run(built, absent, *CHANGE, mode="read-write")
    assert ran.code == 0
    assert "s3://absent/edgebuild" in ran.done.err


def test_a_server_that_is_not_there_is_a_warning(built: Workspace, server: Remote) -> None:
    variables = server.variables | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    ran = run(built, Remote(url=server.url, variables=variables), *CHANGE)
    assert ran.code == 0
    assert server.url in ran.done.err
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in ran.done.err.replace(server.url, "")
