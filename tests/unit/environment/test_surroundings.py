from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment.surroundings import Surroundings, probe_in, surroundings
from edgebuild.perform.attempt import command
from edgebuild.perform.key import key_document
from edgebuild.plan.measure import Subject, detections, subject_of
from edgebuild.plan.own_step import Ref, own_step
from edgebuild.protocol import RUNTIME_VARIABLE
from edgebuild.toolchain.load import load_toolchain
from tests.unit.environments import acme, write_toolchain
from tests.unit.plans import manifest
from tests.unit.workbench import shell

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.action import Action

PLACE = Surroundings(
    toolchain="acme",
    kind="python",
    identity="python 3.11, 2 distributions sha256:00",
    python="/cache/environments/00/bin/python",
    path=("/cache/environments/00/bin",),
    variables={"VIRTUAL_ENV": "/cache/environments/00", "MODE": "theirs"},
)


def vendor(*argv: str) -> Action:
    return replace(shell("compile", ""), argv=argv, env=(("MODE", "ours"),), environment="acme")


def test_python_is_the_environment_s_and_its_scripts_come_first(tmp_path: Path) -> None:
    argv, env = command(vendor("python", "in/toolchain/run.py"), tmp_path, {"PATH": "/usr/bin"}, PLACE)
    assert argv == ["/cache/environments/00/bin/python", "in/toolchain/run.py"]
    assert env["PATH"] == "/cache/environments/00/bin:/usr/bin"
    assert env["VIRTUAL_ENV"] == "/cache/environments/00"
    assert env["MODE"] == "ours"  # what a step sets wins
    assert "PYTHONPATH" not in env


def test_without_an_environment_python_is_the_one_that_runs_edgebuild(tmp_path: Path) -> None:
    argv, env = command(vendor("python", "x.py"), tmp_path, {"PATH": "/usr/bin"}, None)
    assert argv == [sys.executable, "x.py"]
    assert env["PATH"] == "/usr/bin"


def test_a_step_of_ours_stays_in_our_python_and_learns_where_the_runtime_goes(tmp_path: Path) -> None:
    ref = Ref(action="export", output="model", name="model.onnx")
    subject = Subject(artifact=ref, info=ref, evidence="host", environment="acme")
    plain = own_step("t/validate", "validate", "evaluate", [], target="t", inputs=(), outputs=())
    action = subject.at_home(plain)
    assert "environment:acme" in action.tools
    argv, env = command(action, tmp_path, {"PATH": "/usr/bin"}, PLACE)
    assert argv[0] == sys.executable
    assert env["PATH"] == "/usr/bin"
    said = json.loads(env[RUNTIME_VARIABLE])
    assert said["python"] == PLACE.python
    assert said["holder"] == "the toolchain's requirements have to name it"
    sdk = replace(PLACE, kind="activated", python="/sdk/bin/python3")
    said = json.loads(command(action, tmp_path, {"PATH": "/usr/bin"}, sdk)[1][RUNTIME_VARIABLE])
    assert said["holder"].startswith(
        "it runs in /sdk/bin/python3, the Python that the SDK's script activates"
    )
    assert said["env"]["PATH"] == "/cache/environments/00/bin:/usr/bin"
    assert not {"PYTHONPATH", "PYTHONSAFEPATH"} & said["env"].keys()


def test_where_a_script_was_looked_for_is_said_when_its_tools_are_not_here(tmp_path: Path) -> None:
    chain = acme(tmp_path, 'activate: ["${ACME_SDK}/set_env.sh", /opt/acme-*/set_env.sh]')
    assert surroundings(chain, {}, tmp_path) is None
    probed = probe_in(None, chain, chain.tools["acmec"], {"PATH": str(tmp_path)})
    assert not probed.found
    assert probed.how[:2] == (
        "skipped ${ACME_SDK}/set_env.sh: ACME_SDK is not set",
        "no file /opt/acme-*/set_env.sh",
    )


def test_what_a_toolchain_lets_through_is_for_its_runtime_and_not_for_our_step(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "ACME_LICENSE": "27000@host", "PYTHONPATH": "/theirs", "OTHER": "x"}
    folder = write_toolchain(tmp_path, "activate: /opt/acme/set_env.sh\npass: [ACME_LICENSE, PYTHONPATH]")
    chain = load_toolchain("acme", (folder,))
    measured = chain.default_recipe.evaluate
    assert measured is not None
    ref = Ref(action="a", output="o", name="n")
    subject = subject_of(chain, measured, ref, ref)
    action = detections(manifest(), "t/detections", "t", subject)
    assert action.env_pass == ("ACME_LICENSE", "PYTHONPATH")
    _, env = command(action, tmp_path, environ, PLACE)
    said = json.loads(env[RUNTIME_VARIABLE])["env"]
    assert (said["ACME_LICENSE"], said["PYTHONPATH"]) == ("27000@host", "/theirs")
    assert "OTHER" not in said
    assert "ACME_LICENSE" not in env
    assert env["PYTHONPATH"] != "/theirs"


def test_the_key_holds_what_is_in_the_environment_and_not_where_it_is() -> None:
    action = replace(vendor("python", "x.py"), tools=("environment:acme",), env_locate=("ACME_HOME",))
    document = key_document(action, {}, {"environment:acme": PLACE.identity}, {}, "")
    text = json.dumps(document)
    assert PLACE.identity in text
    assert "/cache" not in text
    assert "ACME_HOME" not in text


@pytest.mark.parametrize(
    ("environment", "where"),
    [
        ("", ""),
        ("requirements: requirements.txt", "acme"),
        ("activate: /opt/acme/set_env.sh", "acme"),
        ("image: acme:1", "acme"),
    ],
)
def test_a_runtime_belongs_to_its_toolchain_s_environment(
    tmp_path: Path, environment: str, where: str
) -> None:
    chain = acme(tmp_path, environment, requirements="a==1\n" if "requirements" in environment else "")
    measured = chain.default_recipe.evaluate
    assert measured is not None
    ref = Ref(action="a", output="o", name="n")
    subject = subject_of(chain, measured, ref, ref)
    assert subject.environment == where
    # An artifact that ONNX Runtime runs is run by ours in any case.
    assert subject_of(chain, replace(measured, runtime=""), ref, ref).environment == ""


def test_what_a_system_needs_besides_is_checked_and_counts_as_far_as_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "set_env.sh").write_text("export ACME=1\n", encoding="utf-8")
    (tmp_path / "java").write_text("#!/bin/sh\necho 'openjdk version \"17.0.9\"' >&2\n", encoding="utf-8")
    (tmp_path / "java").chmod(0o755)
    text = f"""
activate: {tmp_path}/set_env.sh
system:
  - name: Java 17
    executable: java
    version: {{command: ["-version"], regex: 'version "(\\d+)'}}
    supported: ">=17"
    get: Install Java.
  - {{name: libGL, file: ["{tmp_path}/libGL.so.*"], get: Install libgl1.}}
"""
    chain = acme(tmp_path, text)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    missing = surroundings(chain, environ, tmp_path)
    assert missing is not None
    assert missing.problem == f"acme needs libGL: there is no file {tmp_path}/libGL.so.*"
    assert (missing.get, missing.identity) == ("Install libgl1.", "")
    (tmp_path / "libGL.so.1").touch()
    found = surroundings(chain, environ, tmp_path)
    assert found is not None
    assert found.problem == ""
    assert found.identity.endswith(", Java 17: 17")
