"""Archives in one canonical form: a gzip-compressed tar file whose bytes follow from its members alone.

Members sorted by name, plain files only, one date, one mode, no owner, no gzip name or date. Because the form
is canonical, checking an archive means rebuilding the tar stream from what was read and comparing: nothing
can hide in a header, in padding or behind the end. Only the deflate stream depends on the zlib at hand; the
archive inside it is the same everywhere.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from typing import IO, TYPE_CHECKING

from edgebuild.digest import CHUNK
from edgebuild.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

DATE = 315532800
"""1980-01-01, the date of every member: tar and unzip programs complain about anything earlier."""

LEVEL = 6
GZIP_HEADER = bytes.fromhex("1f8b 08 00 00000000 00 ff")
"""Deflate, no flags, no date, no file name, no operating system."""


def write_archive(path: Path, members: Mapping[str, Path | bytes]) -> None:
    """Write an archive; it appears complete or not at all.

    Args:
        path: The file to write; its folder is made.
        members: Path inside the archive -> the file or the bytes.

    Raises:
        ValueError: A path inside the archive is not plain and relative.
        OSError: A file cannot be read, or the archive not written.
    """
    for name in members:
        if problem := name_problem(name):
            raise ValueError(f"{name!r} cannot be a member: {problem}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            _gzip(stream, _tar((name, members[name]) for name in sorted(members)))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_archive(path: Path, consume: Callable[[str, Iterator[bytes]], None]) -> None:
    """Read an archive once, front to back, and check that it is in the canonical form.

    Args:
        path: The archive.
        consume: Called per member with its name, known to be safe below a folder, and its bytes in chunks,
            which it must read to the end.

    Raises:
        VerificationError: It is damaged, or has anything in it but plain files in the canonical form.
        OSError: It cannot be read, or ``consume`` raised that.
    """
    with path.open("rb") as raw:
        plain = _Gunzip(path, raw)
        canonical = hashlib.sha256()
        try:
            total = _read_members(path, plain, canonical.update, consume)
        except (tarfile.TarError, UnicodeError, EOFError) as error:
            raise VerificationError(f"{path}: damaged: {error}", hint=_AGAIN) from error
        plain.drain()
        canonical.update(_end(total))
        if canonical.digest() != plain.digest.digest():
            raise VerificationError(
                f"{path}: a header, the padding or the end was changed: rebuilt from its members it is "
                "another archive",
                hint=_AGAIN,
            )


def name_problem(name: str) -> str:
    """Say what is wrong with a member's name, or nothing: it must stay below the folder it is put in."""
    parts = name.split("/")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "an absolute path"
    if not name or len(name) > 1000:
        return "no name, or far too long"
    if ".." in parts:
        return "it leads out of the archive"
    if "" in parts or "." in parts or "\\" in name or not name.isprintable():
        return "not a plain relative path"
    return ""


_AGAIN = "fetch or build it again"


def _read_members(
    path: Path,
    plain: _Gunzip,
    canonical: Callable[[bytes], object],
    consume: Callable[[str, Iterator[bytes]], None],
) -> int:
    """Hand every member on, and feed ``canonical`` what the archive should consist of; return its length."""
    total, former = 0, ""
    with tarfile.open(fileobj=plain, mode="r|", encoding="utf-8", errors="strict") as archive:
        for member in archive:
            _check_member(path, member, former)
            content = archive.extractfile(member)
            assert content is not None  # noqa: S101 - it is a regular file: just checked
            header, padding = _header(member.name, member.size), bytes(-member.size % tarfile.BLOCKSIZE)
            canonical(header)
            consume(member.name, _tee(content, canonical))
            canonical(padding)
            total += len(header) + member.size + len(padding)
            former = member.name
    return total


def _check_member(path: Path, member: tarfile.TarInfo, former: str) -> None:
    problem = name_problem(member.name)
    if not problem and member.type != tarfile.REGTYPE:
        problem = "a link" if member.issym() or member.islnk() else "not a plain file"
    if not problem and member.name <= former:
        problem = "there twice" if member.name == former else f"out of order, after {former}"
    if problem:
        raise VerificationError(f"{path}: member {member.name!r} is refused: {problem}", hint=_AGAIN)


def _tee(content: IO[bytes], canonical: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in _chunks(content):
        canonical(chunk)
        yield chunk


def _tar(members: Iterable[tuple[str, Path | bytes]]) -> Iterator[bytes]:
    total = 0
    for name, source in members:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            for chunk in (_header(name, size), *_chunks(stream), bytes(-size % tarfile.BLOCKSIZE)):
                total += len(chunk)
                yield chunk
    yield _end(total)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, DATE, 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _end(total: int) -> bytes:
    """Return the two empty blocks that end a tar file, and what fills its last record."""
    blocks = 2 * tarfile.BLOCKSIZE
    return bytes(blocks + -(total + blocks) % tarfile.RECORDSIZE)


def _gzip(stream: IO[bytes], chunks: Iterable[bytes]) -> None:
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = size = 0
    stream.write(GZIP_HEADER)
    for chunk in chunks:
        crc, size = zlib.crc32(chunk, crc), size + len(chunk)
        stream.write(deflate.compress(chunk))
    stream.write(deflate.flush() + struct.pack("<II", crc, size & 0xFFFFFFFF))


class _Gunzip(io.RawIOBase):
    """The decompressed stream of exactly one gzip member; it keeps the SHA-256 of what it gave."""

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._path = path
        self._raw = raw
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._input = raw.read(CHUNK)
        if not self._input.startswith(GZIP_HEADER):
            raise VerificationError(f"{path}: not a package: the file does not begin as one", hint=_AGAIN)

    def read(self, size: int = -1) -> bytes:
        """Return exactly ``size`` decompressed bytes, fewer only at the end."""
        parts = []
        while size > 0 and (chunk := self._some(size)):
            self.digest.update(chunk)
            parts.append(chunk)
            size -= len(chunk)
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end, which must be the end of the file too."""
        while self.read(CHUNK):
            pass
        if self._inflate.unused_data or self._input or self._raw.read(1):
            raise VerificationError(f"{self._path}: something follows the end of the archive", hint=_AGAIN)

    def _some(self, size: int) -> bytes:
        while not self._inflate.eof:
            self._input = self._input or self._raw.read(CHUNK)
            if not self._input:
                raise VerificationError(f"{self._path}: damaged: it ends too early", hint=_AGAIN)
            try:
                chunk = self._inflate.decompress(self._input, size)
            except zlib.error as error:
                raise VerificationError(f"{self._path}: damaged: {error}", hint=_AGAIN) from error
            self._input = self._inflate.unconsumed_tail
            if chunk:
                return chunk
        return b""
