"""The quickest answer to "is there anything to do": nothing that the last run looked at has changed.

After a run in which every action was current, the state of every file that decided so is noted: manifest,
data, templates, tools, edgebuild's own code, records, blobs, outputs, reports. The same command with the
same environment then only has to look at these again. It may say "nothing to do" only where the full path
would say so too; in any doubt it says nothing, and the full path decides.

Of the command line and of the environment the note keeps a digest: both may hold credentials.

Imported before everything else, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import sys

from edgebuild.clock import grain

SCHEMA = 2

VARIABLES = ("PATH", "HOME", "EDGEBUILD_CACHE", "XDG_CACHE_HOME", "PYTHONPATH")
"""Variables that decide which tools and which store are meant; declared ones of toolchains come on top."""


def answer(argv: list[str], environ: dict[str, str]) -> str | None:
    """Return what to print when there is surely nothing to do, else None.

    Args:
        argv: The command line, without the program.
        environ: The environment.
    """
    try:
        place = _place(argv)
        if place is None:
            return None
        import json  # noqa: PLC0415 - `--help` needs none of it

        with open(place, encoding="utf-8", errors="surrogatepass") as stream:  # noqa: PTH123
            note = json.load(stream)
        values = [environ.get(name) for name in note["variables"]]
        if note["schema"] != SCHEMA or note["asked"] != _digest([argv, _where(), values]):
            return None
        return str(note["text"]) if _unchanged(note["files"], note["absent"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(
    argv: list[str], *, files: list[str], environ: dict[str, str | None], text: str, since: int
) -> None:
    """Note the state of everything that made this run find nothing to do.

    Args:
        argv: The command line, without the program.
        files: Every file and directory that was looked at; one that is not there is noted as absent.
        environ: Variables that were looked at, and their values.
        text: What to print next time.
        since: When the run began to look, in nanoseconds: a file changed after that was perhaps looked at
            before its change.
    """
    place = _place(argv)
    if place is None:
        return
    import json  # noqa: PLC0415 - `--help` needs none of it

    rows: list[list[object]] = []
    absent: list[str] = []
    for path in files:
        try:
            found = os.stat(path)  # noqa: PTH116 - thousands of files
        except OSError:
            absent.append(path)
            continue
        rows.append([path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns])
        newest = max(found.st_mtime_ns, found.st_ctime_ns)
        if newest > since - grain(found.st_mtime_ns, found.st_ctime_ns):
            return  # it could have changed again without looking different; the next run will note it
    note = {
        "schema": SCHEMA,
        "asked": _digest([argv, _where(), list(environ.values())]),
        "variables": list(environ),
        "files": rows,
        "absent": absent,
        "text": text,
    }
    temporary = f"{place}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
        mine = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(mine, "w", encoding="utf-8", errors="surrogatepass") as stream:  # noqa: PTH123
            # Not json.dump: that one is written in Python.
            stream.write(json.dumps(note, ensure_ascii=False, separators=(",", ":")))
        os.replace(temporary, place)  # noqa: PTH105
    except OSError:
        try:  # noqa: SIM105 - contextlib takes longer to import than all this to run
            os.unlink(temporary)  # noqa: PTH108
        except OSError:
            pass


def _unchanged(files: list[list[object]], absent: list[str]) -> bool:
    stat = os.stat
    for path, size, mtime, inode, ctime in files:
        found = stat(path)  # type: ignore[arg-type]
        if (
            found.st_mtime_ns != mtime
            or found.st_size != size
            or found.st_ctime_ns != ctime
            or found.st_ino != inode
        ):
            return False
    return not any(map(os.path.lexists, absent))


def _place(argv: list[str]) -> str | None:
    """Return where the note for a command line is: one per command line and workspace."""
    if not argv or argv[0] != "run":
        return None
    manifest = next((word for word in argv[1:] if word.endswith((".yaml", ".yml"))), None)
    if manifest is None:
        return None
    folder = os.path.dirname(os.path.abspath(manifest))  # noqa: PTH100, PTH120
    return os.path.join(folder, ".edgebuild", "idle", f"{_digest(argv)}.json")  # noqa: PTH118


def _digest(what: object) -> str:
    """Return a digest of lists of words."""
    from _blake2 import blake2b  # noqa: PLC0415 - hashlib loads OpenSSL, which takes ten times as long

    return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _where() -> list[object]:
    """Return what must be the same besides files: directory, interpreter, machine, usable cores."""
    machine = os.uname()
    return [
        os.getcwd(),  # noqa: PTH109
        sys.executable,
        sys.version,
        machine.nodename,
        machine.machine,
        machine.release,
        len(os.sched_getaffinity(0)),
    ]
