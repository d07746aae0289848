from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.archive import DATE, name_problem, read_archive, write_archive
from edgebuild.digest import digest_file
from edgebuild.errors import UsageError, VerificationError
from edgebuild.package import CONTENTS, extract, json_bytes, verify_package, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ABOUT = {"name": "demo", "target": "board", "version": "1.0", "toolchain": "tool", "recipe": "int8"}
MODEL = bytes(range(256)) * 40


def members(status: str = "passed", **more: bytes) -> dict[str, Path | bytes]:
    row = {"metric": "map50", "status": "passed" if status == "passed" else "missed"}
    documents: dict[str, Any] = {
        "metrics.json": {"schema": 1, "metrics": []},
        "model.json": {"names": ["bolt"]},
        "recipe.json": ABOUT,
        "tools.json": {"tool": "1.2"},
        "verdicts.json": {"schema": 1, "status": status, "verdicts": [row]},
    }
    made: dict[str, Path | bytes] = {name: json_bytes(document) for name, document in documents.items()}
    made |= {"README.md": b"# demo\n", "artifact/model.onnx": MODEL}
    if status == "rejected":
        made["REJECTED"] = b"no\n"
    return made | {name.replace("__", "/"): data for name, data in more.items()}


def make(path: Path, status: str = "passed", **more: bytes) -> Path:
    write_package(path, members(status, **more), about={**ABOUT, "status": status})
    return path


def unpack(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def relist(old: Mapping[str, bytes], **contents: Any) -> dict[str, bytes]:
    """Make a contents list that fits the files: what someone who rewrites a package would do."""
    listed = [
        {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in sorted(old.items())
        if name != CONTENTS
    ]
    return {**old, CONTENTS: json_bytes({**json.loads(old[CONTENTS]), "files": listed, **contents})}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make(tmp_path / "demo.tar.gz")


def test_verifies_what_was_written(package: Path) -> None:
    found = verify_package(package)
    assert (found.name, found.target, found.version, found.status) == ("demo", "board", "1.0", "passed")
    assert found.digest == digest_file(package)
    assert [entry.path for entry in found.files] == sorted(members())
    assert found.artifact == "artifact/model.onnx"
    assert found.documents["tools.json"] == {"tool": "1.2"}


def test_an_artifact_of_several_files_is_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "p.tar.gz"
    parts = {**members(), "artifact/net/a.param": b"1", "artifact/net/a.bin": b"2"}
    del parts["artifact/model.onnx"]
    write_package(path, parts, about={**ABOUT, "status": "passed"})
    assert verify_package(path).artifact == "artifact/net"


def test_same_content_gives_same_bytes_whatever_the_files_look_like(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "model.onnx", tmp_path / "b" / "other-name"
    for file in (first, second):
        file.parent.mkdir()
        file.write_bytes(MODEL)
    os.utime(second, (1, 1))
    second.chmod(0o755)
    archives = []
    for file in (first, second):
        path = tmp_path / f"{file.parent.name}.tar.gz"
        parts = dict(reversed(members().items())) | {"artifact/model.onnx": file}
        before = os.umask(0o077 if file is second else 0o022)
        try:
            write_package(path, parts, about={**ABOUT, "status": "passed"})
        finally:
            os.umask(before)
        archives.append(path.read_bytes())
    assert archives[0] == archives[1]


def test_members_carry_no_trace_of_their_maker(package: Path) -> None:
    with tarfile.open(package) as archive:
        traces = {(m.mtime, m.mode, m.uid, m.gid, m.uname, m.gname, m.type) for m in archive}
    assert traces == {(DATE, 0o644, 0, 0, "", "", tarfile.REGTYPE)}
    assert package.read_bytes()[:10] == bytes.fromhex("1f8b08000000000000ff")


def test_members_are_sorted(package: Path) -> None:
    with tarfile.open(package) as archive:
        names = archive.getnames()
    assert names == sorted(names)


def test_long_and_foreign_names_survive(tmp_path: Path) -> None:
    name = "artifact/" + "very-long-folder-name/" * 12 + "Schraube-M8-größer.bin"
    path = make(tmp_path / "p.tar.gz", "passed", **{name.replace("/", "__"): b"x"})
    assert name in {entry.path for entry in verify_package(path).files}


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "p.tar.gz", {"a": tmp_path / "gone"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a//b", "./a", "a\\b", "a\nb", "C:/x", "", "a/"]
)
def test_unsafe_names_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a member"):
        write_archive(tmp_path / "p.tar.gz", {name: b""})


@given(st.text(max_size=40))
def test_a_name_without_a_problem_stays_below_its_folder(name: str) -> None:
    if not name_problem(name):
        assert os.path.normpath(f"/top/{name}").startswith("/top/")


# Tampering


def test_no_byte_can_change_without_notice_or_with_effect(package: Path) -> None:
    original, content = package.read_bytes(), unpack(package)
    step = max(len(original) // 400, 1)
    places = {*range(0, len(original), step), *range(12), *range(len(original) - 12, len(original))}
    noticed = 0
    for place in sorted(places):
        changed = bytearray(original)
        changed[place] ^= 0xFF
        package.write_bytes(changed)
        try:
            verify_package(package)
        except VerificationError:
            noticed += 1
        else:
            # Deflate can say the same thing in several ways; then nothing has changed but the spelling.
            assert unpack(package) == content, place
    assert noticed > 0.98 * len(places)


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_the_plain_tar_can_change(tmp_path: Path, bit: int) -> None:
    original = gzip.decompress(make(tmp_path / "p.tar.gz", artifact__model=b"").read_bytes())
    package = tmp_path / "changed.tar.gz"
    unnoticed = []
    for place in range(bit * 7, len(original), 97):
        changed = bytearray(original)
        changed[place] ^= 1 << bit
        package.write_bytes(recompress(bytes(changed)))
        try:
            verify_package(package)
        except VerificationError:
            continue
        unnoticed.append(place)
    assert unnoticed == []


def recompress(plain: bytes) -> bytes:
    """Compress as edgebuild does, so that only the content differs."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    tail = zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes.fromhex("1f8b08000000000000ff") + deflate.compress(plain) + deflate.flush() + tail


def refused(path: Path, files: Mapping[str, bytes]) -> str:
    write_archive(path, dict(files))
    with pytest.raises(VerificationError) as caught:
        verify_package(path)
    return str(caught.value)


def test_a_changed_artifact_is_named(package: Path) -> None:
    files = unpack(package)
    files["artifact/model.onnx"] = files["artifact/model.onnx"][:-1] + b"?"
    assert "artifact/model.onnx: content differs from contents.json" in refused(package, files)


def test_an_added_member_is_named(package: Path) -> None:
    assert "run.sh: in the package but not listed" in refused(package, unpack(package) | {"run.sh": b"rm"})


def test_a_removed_member_is_named(package: Path) -> None:
    files = unpack(package)
    del files["tools.json"]
    assert "tools.json: listed in contents.json but not in the package" in refused(package, files)


@pytest.mark.parametrize("name", ["contents.json", "artifact/model.onnx", "model.json", "verdicts.json"])
def test_a_part_that_every_package_has_cannot_be_missing(package: Path, name: str) -> None:
    files = relist({k: v for k, v in unpack(package).items() if k != name or k == CONTENTS})
    if name == CONTENTS:
        del files[name]
    assert "not a package: it has no " in refused(package, files)


def test_a_rejected_package_cannot_lose_its_marker(tmp_path: Path) -> None:
    path = make(tmp_path / "p.tar.gz", "rejected")
    assert verify_package(path).status == "rejected"
    files = unpack(path)
    del files["REJECTED"]
    assert "no REJECTED file means passed" in refused(path, relist(files))


def test_a_status_must_follow_from_the_verdicts(tmp_path: Path) -> None:
    files = unpack(make(tmp_path / "p.tar.gz", "rejected"))
    del files["REJECTED"]
    verdicts = json.loads(files["verdicts.json"]) | {"status": "passed"}
    files["verdicts.json"] = json_bytes(verdicts)
    assert "its verdicts come to rejected" in refused(tmp_path / "q", relist(files, status="passed"))


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"schema": 2}, "another version of edgebuild"),
        ({"target": 3}, "target is missing"),
        ({"target": "other"}, "says target other, recipe.json board"),
        ({"also": 1}, "unknown also"),
        ({"files": "all"}, "files is not a list"),
        ({"files": [{"path": "a", "sha256": "abc", "size": 1}]}, "files is not a list"),
        ({"status": "fine"}, "contents.json says fine"),
    ],
)
def test_a_malformed_contents_list_is_refused(package: Path, contents: dict[str, Any], expected: str) -> None:
    assert expected in refused(package, relist(unpack(package), **contents))


def test_a_contents_list_in_another_spelling_is_refused(package: Path) -> None:
    files = unpack(package)
    files[CONTENTS] = files[CONTENTS].replace(b"  ", b" ")
    assert "not spelt" in refused(package, files)


def test_a_document_that_is_not_json_is_refused(package: Path) -> None:
    assert "not JSON" in refused(package, relist(unpack(package) | {"model.json": b"{"}))


def raw(path: Path, *infos: tuple[tarfile.TarInfo, bytes]) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in infos:
            info.size, info.mtime = len(data), DATE
            archive.addfile(info, io.BytesIO(data))
    path.write_bytes(recompress(plain.getvalue()))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (info("../x"), "leads out of the archive"),
        (info("/etc/passwd"), "an absolute path"),
        (info("a", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
        (info("a", tarfile.LNKTYPE, "contents.json"), "a link"),
        (info("a", tarfile.DIRTYPE), "not a plain file"),
        (info("a", tarfile.FIFOTYPE), "not a plain file"),
        (info("a\\..\\x"), "not a plain relative path"),
    ],
)
def test_dangerous_members_are_refused_and_never_written(
    tmp_path: Path, member: tarfile.TarInfo, expected: str
) -> None:
    path = raw(tmp_path / "p.tar.gz", (member, b""))
    with pytest.raises(VerificationError, match=expected):
        extract(path, tmp_path / "out" / "here")
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["out", "p.tar.gz"]


def test_a_member_cannot_come_twice(tmp_path: Path) -> None:
    path = raw(tmp_path / "p.tar.gz", (info("a"), b"good"), (info("a"), b"bad"))
    with pytest.raises(VerificationError, match="there twice"):
        verify_package(path)


def test_a_file_cannot_be_a_folder_too(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="below a, which is a file"):
        verify_package(raw(tmp_path / "p.tar.gz", (info("a"), b"1"), (info("a/b"), b"2")))


@pytest.mark.parametrize("tail", [b"\0", b"extra", gzip.compress(b"more", mtime=0)])
def test_nothing_may_follow_the_archive(package: Path, tail: bytes) -> None:
    package.write_bytes(package.read_bytes() + tail)
    with pytest.raises(VerificationError, match="something follows the end"):
        verify_package(package)


@pytest.mark.parametrize("data", [b"", b"PK\3\4", gzip.compress(b"no tar", mtime=0)])
def test_something_else_is_not_a_package(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "p.tar.gz"
    path.write_bytes(data)
    with pytest.raises(VerificationError, match=r"p\.tar\.gz: "):
        verify_package(path)


def test_a_package_cut_short_is_refused(package: Path) -> None:
    package.write_bytes(package.read_bytes()[:-20])
    with pytest.raises(VerificationError, match="ends too early"):
        verify_package(package)


def test_a_missing_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="No such file"):
        verify_package(tmp_path / "gone.tar.gz")


# Unpacking


def test_extract_gives_every_file(package: Path, tmp_path: Path) -> None:
    extract(package, tmp_path / "out")
    files = {
        p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()
    }
    assert {name: path.read_bytes() for name, path in files.items()} == unpack(package)


def test_extract_of_a_damaged_package_leaves_nothing(package: Path, tmp_path: Path) -> None:
    write_archive(package, unpack(package) | {"README.md": b"other"})
    with pytest.raises(VerificationError):
        extract(package, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [package.name]


def test_extract_does_not_touch_a_folder_in_use(package: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        extract(package, tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_extract_fills_an_empty_folder(package: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    extract(package, tmp_path / "out")
    assert (tmp_path / "out" / "artifact" / "model.onnx").read_bytes() == MODEL


def test_extract_below_a_file_says_what_is_in_the_way(package: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        extract(package, package / "out")


def test_reading_hands_out_members_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "p.tar.gz"
    write_archive(path, {"big": bytes(3 << 20), "small": b"1"})
    sizes: dict[str, list[int]] = {}

    def consume(name: str, chunks: Iterator[bytes]) -> None:
        sizes[name] = [len(chunk) for chunk in chunks]

    read_archive(path, consume)
    assert sizes == {"big": [1 << 20] * 3, "small": [1]}
