"""The words of the command line that make no sense, and what is printed then."""

from __future__ import annotations

import json

import pytest

from edgebuild.cli.main import main


def refused(*words: str) -> int:
    """Use the command line; return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    "words",
    [
        ("commands", "a.yaml", "b.yaml"),
        ("explain", "a.yaml", "int8", "b.yml"),
        ("report", "a.yaml", "b.yaml"),
        ("calibrate", "a.yaml", "b.yaml"),
        ("cache", "pin", "v1", "a.yaml", "b.yaml"),
    ],
)
def test_a_verb_for_one_manifest_says_so(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(*words) == 2
    message = f"`{words[0]}` takes one manifest, and {words[-1]} is another one"
    assert message in capsys.readouterr().err


def test_only_what_is_required_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("run") == 2
    assert capsys.readouterr().err.endswith("the following arguments are required: MANIFEST\n")
    assert refused("cache", "pin") == 2
    assert capsys.readouterr().err.endswith("the following arguments are required: NAME|KEY\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "a.yaml", "--format", "dot"), "--json and --format dot exclude each other"),
        (("run", "a.yaml", "--exit-code"), "--exit-code is for a dry run; a run has its own"),
        (("run", "a.yaml"), "a.yaml: no such manifest; check the path"),
    ],
)
def test_a_mistake_is_a_document_where_one_is_asked_for(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 2
    told = capsys.readouterr()
    error = json.loads(told.out)["error"]
    assert (error["code"], error["message"]) == (2, message)
    assert told.err.startswith(f"edgebuild: {message}")


def test_a_mistake_in_the_words_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("run", "a.yaml", "--json", "--bogus") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == "unrecognized arguments: --bogus"
