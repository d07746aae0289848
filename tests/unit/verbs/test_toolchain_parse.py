from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.errors import EdgebuildError, StepError, UsageError
from edgebuild.verbs.toolchain_parse import ParseOptions, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Write a toolchain with two rules for one tool, and read an output with them."""
    folder = tmp_path / "acme"
    folder.mkdir()
    rules = [
        r"{pattern: 'median (?P<latency_ms_p50>[\d.]+) us', unit: us}",
        r"{pattern: '(?P<throughput>[\d.]+) qps', unit: qps}",
        r"{pattern: 'temperature (?P<temperature_c>\d+)'}",
    ]
    (folder / "compile.cmd.j2").write_text("acmec {{ outputs.model }}\n", encoding="utf-8")
    (folder / "toolchain.yaml").write_text(
        "toolchain: 1\ntitle: Acme\nlinks: [https://acme.example]\n"
        "tools: {acmec: {executable: acmec, get: Ask.,"
        r" version: {command: [--version], regex: 'acmec (\d+)\.(\d+)'}}}"
        "\n"
        "recipes:\n  fp16: {title: t, precision: fp16, steps: [{step: compile, inputs: {model: onnx}}],"
        " artifact: compile.model, evaluate: none}\n"
        "steps: {compile: {command: compile.cmd.j2, tools: [acmec], outputs: {model: {path: m.bin}}}}\n"
        f"device:\n  benchmark:\n    acme-bench: [{', '.join(rules)}]\n"
        r"device_version: {tool: acmec, pattern: 'acmert (\d+)\.(\d+)', hint: update acmert}"
        "\n",
        encoding="utf-8",
    )

    def look(file: str, **more: Any) -> str:
        options: dict[str, Any] = {"tool": "acme-bench", "batch": 1, "json": False} | more
        given = ParseOptions(name="acme", file=file, templates=(str(tmp_path),), **options)
        assert parse(given) == 0
        return capsys.readouterr().out

    return look


def refused(kind: type[EdgebuildError], ask: Callable[..., str], *words: str, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        ask(*words, **more)
    return str(caught.value)


def test_what_is_found_is_shown_with_units_and_what_is_not_with_its_rule(
    tmp_path: Path, ask: Callable[..., str]
) -> None:
    log = tmp_path / "log.txt"
    log.write_text("median 2500 us\n100 qps\n", encoding="utf-8")
    assert ask(str(log), batch=4).splitlines() == [
        "acme-bench (benchmark)",
        "  latency_ms_p50  2.5  ms        metric, evidence device",
        "  throughput      400  images/s  metric, evidence device",
        r"  no match: temperature (?P<temperature_c>\d+)",
    ]


def test_standard_input_makes_one_document(monkeypatch: pytest.MonkeyPatch, ask: Callable[..., str]) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\xfftemperature 42\r\n")))
    (tool,) = json.loads(ask("-", json=True))["tools"]
    assert tool["found"] == [{"name": "temperature_c", "value": 42.0, "unit": "°C", "evidence": None}]
    assert len(tool["unmatched"]) == 2


def test_mistakes_are_said(tmp_path: Path, ask: Callable[..., str]) -> None:
    assert "cannot be read: No such file" in refused(UsageError, ask, str(tmp_path / "none.txt"))
    text = refused(UsageError, ask, "-", tool="acme-bensh")
    assert "did you mean 'acme-bench'?" in text
    (tmp_path / "empty.txt").write_text("error: no device\n", encoding="utf-8")
    text = refused(StepError, ask, str(tmp_path / "empty.txt"))
    assert text == "acme-bench: no rule finds anything in 17 characters\n  `device` in acme/toolchain.yaml"


@pytest.mark.parametrize(
    ("here", "lines"),
    [
        ("", ["release on the device: 2.4; acmec here: not found"]),
        ("2.4", ["release on the device: 2.4; acmec here: 2.4"]),
        (
            "2.3",
            [
                "release on the device: 2.4; acmec here: 2.3",
                "  warning: acmec 2.3 makes the artifact, and the device has 2.4; update acmert",
            ],
        ),
    ],
)
def test_the_release_on_a_device_is_compared_with_the_toolkit_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., str], here: str, lines: list[str]
) -> None:
    (tmp_path / "log.txt").write_text("acmert 2.4.1\n", encoding="utf-8")
    if here:
        (tmp_path / "acmec").write_text(f"#!/bin/sh\necho acmec {here}\n", encoding="utf-8")
        (tmp_path / "acmec").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ask(str(tmp_path / "log.txt")).splitlines()[-len(lines) :] == lines
    releases = json.loads(ask(str(tmp_path / "log.txt"), json=True))["releases"]
    assert (releases["device"], releases["toolkit"], bool(releases["finding"])) == (
        "2.4",
        here or None,
        here == "2.3",
    )
