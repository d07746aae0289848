"""Packages: one archive per target that says what it is, checked completely before anybody uses it.

``contents.json`` inside lists every other member with its SHA-256. What the archive looks like, byte by byte,
is :mod:`edgebuild.archive`'s business.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgebuild.archive import read_archive, write_archive
from edgebuild.digest import Digest, digest_bytes, digest_file
from edgebuild.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = 1

CONTENTS = "contents.json"
REJECTED = "REJECTED"
ARTIFACT = "artifact"
REQUIRED = ("README.md", "metrics.json", "model.json", "recipe.json", "tools.json", "verdicts.json")
IDENTITY = ("name", "target", "version", "toolchain", "recipe")
"""What ``contents.json`` says a package is for."""

MAX_DOCUMENT = 1 << 26
"""No JSON document of ours comes near 64 MiB; a larger one is not read into memory."""

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Entry:
    """One member of a package, as ``contents.json`` lists it; ``size`` in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What a package proved to be.

    Attributes:
        digest: Of the archive file.
        status: ``passed`` or ``rejected``.
        files: Every member but ``contents.json``, sorted.
        documents: The JSON documents at the top of the package, by file name.
    """

    path: Path
    digest: Digest
    name: str
    target: str
    version: str
    toolchain: str
    recipe: str
    status: str
    files: tuple[Entry, ...]
    documents: Mapping[str, Any]

    @property
    def artifact(self) -> str:
        """The artifact inside the package: its file, or its folder when it is several files."""
        top = {"/".join(e.path.split("/")[:2]) for e in self.files if e.path.startswith(f"{ARTIFACT}/")}
        return top.pop() if len(top) == 1 else ARTIFACT


def write_package(path: Path, members: Mapping[str, Path | bytes], *, about: Mapping[str, str]) -> None:
    """Write a package; equal content gives equal bytes, whatever the time, the user or the file modes.

    Args:
        path: The archive to write; it appears complete or not at all.
        members: Path inside the package -> the file or the bytes; ``contents.json`` is added.
        about: The :data:`IDENTITY` and ``status``.

    Raises:
        ValueError: A path inside the package is not plain and relative.
        OSError: A file cannot be read, or the archive not written.
    """
    files = [_row(name, source) for name, source in sorted(members.items())]
    contents = json_bytes({"schema": SCHEMA, **about, "files": files})
    write_archive(path, {**members, CONTENTS: contents})


def verify_package(path: Path) -> Verification:
    """Check a package completely, in one go and without writing anything.

    Raises:
        VerificationError: It is not exactly what its contents list says; names the member and the reason.
    """
    return _check(path, None)


def extract(path: Path, folder: Path) -> Verification:
    """Verify a package and unpack it; the folder appears only when everything was right.

    Args:
        path: The package.
        folder: A folder that does not exist yet, or is empty.

    Raises:
        VerificationError: The package does not verify.
        UsageError: The folder has something in it or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder}: not empty", hint="name a new folder to unpack into")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            unpacked = Path(scratch) / "package"
            verification = _check(path, unpacked)
            unpacked.replace(folder)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return verification


def json_bytes(document: Any) -> bytes:
    """Return a JSON document as a package holds it: sorted keys, two spaces, a final newline."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _row(name: str, source: Path | bytes) -> dict[str, Any]:
    if isinstance(source, bytes):
        digest, size = digest_bytes(source), len(source)
    else:
        digest, size = digest_file(source), source.stat().st_size
    return {"path": name, "sha256": digest.removeprefix("sha256:"), "size": size}


def _check(path: Path, folder: Path | None) -> Verification:
    found = _Found(path=path, folder=folder)
    try:
        read_archive(path, found.take)
        digest = digest_file(path)
    except OSError as error:
        if folder and error.filename != str(path):
            raise
        raise VerificationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        documents = {name: json.loads(text) for name, text in found.texts.items()}
    except ValueError as error:
        raise VerificationError(f"{path}: a document in it is not JSON: {error}") from error
    if CONTENTS in documents and json_bytes(documents[CONTENTS]) != found.texts[CONTENTS]:
        raise VerificationError(f"{path}: {CONTENTS} is not spelt as edgebuild spells it")
    contents = _contents(path, documents)
    _compare(path, contents, found.entries)
    _check_status(path, contents, documents, set(found.entries))
    return Verification(
        path=path,
        digest=digest,
        **{key: contents[key] for key in (*IDENTITY, "status")},
        files=tuple(sorted(entry for name, entry in found.entries.items() if name != CONTENTS)),
        documents=documents,
    )


@dataclass(kw_only=True, slots=True)
class _Found:
    """What reading an archive brings to light; with a folder, its members are written there too."""

    path: Path
    folder: Path | None
    entries: dict[str, Entry] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)

    def take(self, name: str, chunks: Iterator[bytes]) -> None:
        for parent in PurePosixPath(name).parents:
            if str(parent) in self.entries:
                raise VerificationError(f"{self.path}: {name}: below {parent}, which is a file")
        digest, size = hashlib.sha256(), 0
        document = bytearray() if name.endswith(".json") and "/" not in name else None
        for chunk in self._written(name, chunks):
            digest.update(chunk)
            size += len(chunk)
            if document is not None and size <= MAX_DOCUMENT:
                document += chunk
        self.entries[name] = Entry(path=name, sha256=digest.hexdigest(), size=size)
        if document is not None:
            self.texts[name] = bytes(document)

    def _written(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        if self.folder is None:
            yield from chunks
            return
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as stream:
            for chunk in chunks:
                stream.write(chunk)
                yield chunk


def _contents(path: Path, documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``contents.json`` once it has the shape it must have."""
    contents = documents.get(CONTENTS)
    if contents is None:
        raise VerificationError(f"{path}: not a package: it has no {CONTENTS}")
    if not isinstance(contents, dict) or contents.get("schema") != SCHEMA:
        raise VerificationError(
            f'{path}: {CONTENTS}: not a document with "schema": {SCHEMA}',
            hint="it was made by another version of edgebuild; verify it with that version",
        )
    for key in (*IDENTITY, "status"):
        if not isinstance(contents.get(key), str):
            raise VerificationError(f"{path}: {CONTENTS}: {key} is missing")
    for key in IDENTITY if "recipe.json" in documents else ():
        if (said := _member(documents["recipe.json"], key)) != contents[key]:
            raise VerificationError(f"{path}: {CONTENTS} says {key} {contents[key]}, recipe.json {said}")
    if unknown := sorted(contents.keys() - {"schema", *IDENTITY, "status", "files"}):
        raise VerificationError(f"{path}: {CONTENTS}: unknown {', '.join(unknown)}")
    rows = contents.get("files")
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise VerificationError(f"{path}: {CONTENTS}: files is not a list of path, sha256 and size")
    return contents


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == {"path", "sha256", "size"}
        and isinstance(row.get("path"), str)
        and isinstance(row.get("size"), int)
        and _HASH.fullmatch(str(row.get("sha256"))) is not None
    )


def _compare(path: Path, contents: Mapping[str, Any], found: Mapping[str, Entry]) -> None:
    """Compare what the contents list promises with what is there, both ways."""
    listed = {row["path"]: row for row in contents["files"]}
    if len(listed) != len(contents["files"]):
        raise VerificationError(f"{path}: {CONTENTS} lists a path twice")
    for name in sorted(listed.keys() - found.keys()):
        raise VerificationError(f"{path}: {name}: listed in {CONTENTS} but not in the package")
    for name in sorted(found.keys() - listed.keys() - {CONTENTS}):
        raise VerificationError(f"{path}: {name}: in the package but not listed in {CONTENTS}")
    for name, row in sorted(listed.items()):
        if (row["sha256"], row["size"]) != (found[name].sha256, found[name].size):
            raise VerificationError(
                f"{path}: {name}: content differs from {CONTENTS}: "
                f"listed sha256 {row['sha256'][:12]}, found {found[name].sha256[:12]}"
            )


def _check_status(
    path: Path, contents: Mapping[str, Any], documents: Mapping[str, Any], members: set[str]
) -> None:
    """Check that every part is there, and that all of them agree on whether the gates were met."""
    for name in REQUIRED:
        if name not in members:
            raise VerificationError(f"{path}: not a package: it has no {name}")
    if not any(name.startswith(f"{ARTIFACT}/") for name in members):
        raise VerificationError(f"{path}: not a package: it has no artifact")
    status = contents["status"]
    said = {
        f"{CONTENTS} says": status,
        "verdicts.json says": _member(documents["verdicts.json"], "status"),
        "its verdicts come to": _judged(documents["verdicts.json"]),
        f"a {REJECTED} file means" if REJECTED in members else f"no {REJECTED} file means": (
            "rejected" if REJECTED in members else "passed"
        ),
    }
    if status not in {"passed", "rejected"} or set(said.values()) != {status}:
        raise VerificationError(f"{path}: " + ", ".join(f"{who} {what}" for who, what in said.items()))


def _judged(verdicts: Any) -> str:
    rows = _member(verdicts, "verdicts")
    held = isinstance(rows, list) and all(_member(row, "status") == "passed" for row in rows)
    return "passed" if held else "rejected"


def _member(document: Any, key: str) -> Any:
    return document.get(key) if isinstance(document, dict) else None
