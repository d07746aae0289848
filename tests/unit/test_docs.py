"""The documents say what is so: links, commands, flags, manifests, tables of exit codes and dependencies."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild import errors
from edgebuild.cli import main as cli
from edgebuild.document.parse import parse
from edgebuild.manifest.load import load_manifest
from edgebuild.run.outcome import SEVERITY

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]

OURS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]

DOCUMENTS = sorted(
    [
        *(REPOSITORY / name for name in OURS),
        *REPOSITORY.glob("docs/*.md"),
        *REPOSITORY.glob("templates/*/README.md"),
        *REPOSITORY.glob("examples/*/README.md"),
    ]
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\$ |- run: |- )?(edgebuild .*)$")
MANIFEST = re.compile(r"<!-- manifest: (\S+) -->\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """Return the name that GitHub and GitLab give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {anchor(line.lstrip("#")) for line in prose(path).splitlines() if line.startswith("#")}


def code(text: str) -> Iterator[str]:
    """Yield every piece of code that may be a command line: fenced, indented or between backticks."""
    for language, block in FENCE.findall(text):
        if language in {"", "sh", "yaml", "console"}:
            yield from block.replace("\\\n", " ").splitlines()
    rest = FENCE.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", rest)


def command_lines(path: Path) -> list[str]:
    """Return what starts the program in a document, from its name on, without comments and redirections."""
    found = []
    for line in code(path.read_text(encoding="utf-8")):
        match = COMMAND.match(line.strip())
        if match:
            found.append(re.split(r"\s#|\s[|>]|\s\|\|", match.group(1))[0].strip())
    return found


def verbs() -> dict[str, argparse.ArgumentParser]:
    parser = cli._parser()
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(actions[0].choices)


def flags(parser: argparse.ArgumentParser) -> set[str]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = {text for action in inner for verb in action.choices.values() for text in flags(verb)}
    return below | {text for action in parser._actions for text in action.option_strings}


def table(path: Path, first: str) -> list[list[str]]:
    """Return the cells of the rows below the table head that starts with ``first``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("path", DOCUMENTS, ids=shown)
def test_every_relative_link_and_picture_leads_somewhere(path: Path) -> None:
    missing = []
    for link in LINK.findall(prose(path)):
        place, _, part = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or (part and target.suffix == ".md" and part not in anchors(target)):
            missing.append(link)

    assert missing == []


def test_the_index_lists_every_document() -> None:
    listed = {link.partition("#")[0] for link in LINK.findall(prose(REPOSITORY / "docs/index.md"))}
    here = {path.name for path in REPOSITORY.glob("docs/*.md")} - {"index.md"}
    toolchains = {
        f"../templates/{path.parent.name}/README.md" for path in REPOSITORY.glob("templates/*/README.md")
    }

    assert here | toolchains <= listed


def test_commands_are_found_where_they_are() -> None:
    assert len(command_lines(REPOSITORY / "README.md")) > 15
    assert len(command_lines(REPOSITORY / "docs/ci.md")) > 6


@pytest.mark.parametrize("path", DOCUMENTS, ids=shown)
def test_every_command_is_one_that_the_command_line_takes(path: Path) -> None:
    wrong = []
    for line in command_lines(path):
        verb, *words = shlex.split(line)[1:]
        parser = verbs().get(verb)
        if verb == "VERB" or (parser is not None and not words):
            continue  # a verb by its name
        try:
            verbs()[verb].parse_args(words)
        except (KeyError, SystemExit):
            wrong.append(line)

    assert wrong == []


@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if p.parent.name == "docs" or p.parent == REPOSITORY], ids=shown
)
def test_every_flag_between_backticks_is_one_of_ours_or_of_a_step(path: Path) -> None:
    ours = {flag for parser in verbs().values() for flag in flags(parser)} | {"--version"}
    steps = {
        flag
        for source in (REPOSITORY / "edgebuild/steps").glob("*.py")
        for flag in re.findall(r'"(--[a-z0-9-]+)"', source.read_text(encoding="utf-8"))
    }
    known = ours | steps
    said = {
        word.partition("=")[0]
        for text in re.findall(r"`([^`\n]+)`", prose(path))
        if not text.startswith(("doit ", "pytest ", "pip "))
        for word in text.split()
        if re.fullmatch(r"--[a-z][a-z-]*(=\S+)?", word)
    }
    # docs/toolchains.md shows the flags of a vendor that does not exist, docs/environments.md of pip, podman.
    others = {"toolchains.md": {"--fast", "--model"}, "environments.md": {"--no-deps", "--user", "--userns"}}
    assert said - known <= others.get(path.name, set())


def test_the_manifest_in_the_readme_is_the_quickstart_s_and_loads(tmp_path: Path) -> None:
    found = MANIFEST.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert found

    for number, (name, text) in enumerate(found):
        example = REPOSITORY / name
        folder = tmp_path / str(number)
        (folder / "weights").mkdir(parents=True)
        (folder / "weights/fasteners-yolo11n.pt").write_bytes(b"weights")
        (folder / "data").symlink_to(example / "data")
        (folder / "manifest.yaml").write_text(text, encoding="utf-8")
        printed, _ = parse(text, file="README.md")
        real, _ = parse((example / "manifest.yaml").read_text(encoding="utf-8"), file="manifest.yaml")

        manifest = load_manifest(folder / "manifest.yaml")

        assert [target.name for target in manifest.targets]
        assert printed.unwrap() == real.unwrap()


@pytest.mark.parametrize("name", ["README.md", "docs/errors.md"])
def test_the_table_of_exit_codes_is_that_of_the_errors(name: str) -> None:
    rows = table(REPOSITORY / name, "code")
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    raised = {value.exit_code for value in classes if issubclass(value, errors.EdgebuildError)}
    listed = {int(number) for row in rows for number in row[0].split(",")}

    assert listed == raised | {0, 10, 129, 130, 143}
    assert [row[0] for row in rows] == [row[0] for row in table(REPOSITORY / "README.md", "code")]


def test_the_order_of_exit_codes_is_the_real_one() -> None:
    text = prose(REPOSITORY / "docs/errors.md")

    assert ", ".join(map(str, SEVERITY)) in text
    headings = re.findall(r"^## ([\d, ]+):", text, re.MULTILINE)
    assert [int(part) for heading in headings for part in heading.split(",")] == [
        *range(1, 11),
        129,
        130,
        143,
    ]


def test_dependencies_are_listed_with_the_ranges_they_have() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        required += extra
    text = (REPOSITORY / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ")]

    for requirement in required:
        name, limits = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
        row = next((row for row in rows if re.search(rf"[| ]{re.escape(name)}[ ,|]", row)), "")
        assert row, f"{name} is not listed"
        assert limits in row or not limits, f"{name}: {limits} is not what is listed"


@pytest.mark.parametrize("name", ["README.md", *(shown(p) for p in REPOSITORY.glob("docs/*.md"))])
def test_words_that_are_not_used(name: str) -> None:
    text = re.sub(r"`[^`\n]+`", "", prose(REPOSITORY / name))

    assert (
        re.findall(r"\b(?:pipelines?|stages?|jobs?|runners?|managers?|handlers?|utils?|helpers?)\b", text)
        == []
    )
