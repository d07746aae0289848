from __future__ import annotations

import pytest

from edgebuild.process.engine import engine_failure

# What podman 4.3 and docker 20.10 print.
PODMAN = "Error: runc: runc create failed: unable to start container process: error during container init"
DOCKER = "docker: Error response from daemon: OCI runtime create failed: no cgroup."


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (125, f'time="now" level=warning msg="a warning"\n{PODMAN}\n', PODMAN),
        (126, f"{DOCKER}\n\nRun 'docker run --help' for more information\n", DOCKER),
        # What a program says of itself, with the same exit code or the same words.
        (127, "sh: boltc: not found\n", ""),
        (1, "Error: no such chip\n", ""),
    ],
)
def test_an_engine_s_own_words_tell_its_failure_from_a_program_s(code: int, text: str, said: str) -> None:
    assert engine_failure(code, text) == said
