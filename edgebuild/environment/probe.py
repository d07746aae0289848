"""Tools: are they here, which version, and what identifies them in an action key.

An identity names no path and no machine: two installations of one release share results. The answer
depends on a few files (executable, version file, metadata), which are named so that it can be remembered.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.action import Finding
from edgebuild.digest import digest_file, digest_text, short
from edgebuild.environment.patterns import expand_pattern
from edgebuild.identity import distributions_in, normalised
from edgebuild.process.execute import capture, find_executable
from edgebuild.versions import in_range, match_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.toolchain.load import Tool, VersionProbe

VERSION_SECONDS = 30.0
"""A version command that takes longer hangs: some vendors' tools ask questions or wait for a licence."""

_ABSOLUTE_PATH = re.compile(r"(?<![\w./-])/[^\s'\",;:]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What is known of one tool on this machine.

    Attributes:
        name: ``<toolchain>/<tool>``.
        found: It is here.
        version: As the tool writes it; empty when unknown.
        raw: Text that the version was read from, or that held none.
        how: What was tried, in words, in order.
        in_range: False only when the version is known to lie outside the supported range.
        problem: Why it cannot be used, in one line, or empty.
        get: How to get it.
        files: Files whose change can change this answer, absolute.
        fingerprint: Digest of the executable where no version is known, else empty.
        findings: What a person should know although it is no problem.
    """

    name: str
    found: bool
    version: str = ""
    raw: str = ""
    how: tuple[str, ...] = ()
    in_range: bool = True
    problem: str = ""
    get: str = ""
    files: tuple[str, ...] = ()
    fingerprint: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether steps may use it."""
        return self.found and self.in_range


def probe_tool(
    toolchain: str, tool: Tool, environ: Mapping[str, str], *, paths: Sequence[str] | None = None
) -> Probed:
    """Look for a tool and its version.

    Args:
        toolchain: Name of the toolchain.
        tool: The tool.
        environ: Environment that the steps will see: its PATH, and the variables in version file names.
        paths: Folders that hold Python distributions; None: those of this interpreter.
    """
    probed = Probed(name=f"{toolchain}/{tool.name}", found=True, get=tool.get)
    executable = ""
    if tool.executable:
        executable = find_executable(tool.executable, environ) or ""
        if not executable:
            tried = f"looked for {tool.executable} on PATH ({environ.get('PATH', '') or 'empty'})"
            return replace(probed, found=False, how=(tried,), problem=f"{tool.executable} is not on PATH")
        probed = replace(probed, how=(f"found {tool.executable} on PATH",), files=(executable,))
    if tool.version and tool.version.distribution:
        probed = _with_distribution(probed, tool.version.distribution, executable, paths)
    elif tool.version:
        probed = _with_version(probed, tool.version, executable, environ)
    if not probed.found:
        return probed
    return judged(probed, tool.supported, executable)


def identity(probed: Probed) -> str:
    """Return what identifies a found tool in an action key: its version and the text that says it.

    Absolute paths inside that text do not count, so that the place of an installation does not either.
    """
    if probed.fingerprint:
        return f"{probed.name} {probed.fingerprint}"
    return f"{probed.name} {probed.version} {digest_text(_ABSOLUTE_PATH.sub('', probed.raw))}"


def _with_version(probed: Probed, probe: VersionProbe, executable: str, environ: Mapping[str, str]) -> Probed:
    if probe.command:
        return _asked(probed, probe, executable, environ)
    how, raw = list(probed.how), ""
    for pattern in probe.files:
        for path in expand_pattern(pattern, environ, how):
            try:
                text = Path(path).read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                how.append(f"cannot read {path}: {error.strerror}")
                continue
            probed = replace(probed, files=(*probed.files, path))
            version = match_version(probe.regex, text)
            if version:
                return replace(probed, version=version, raw=text, how=(*how, f"read {path}"))
            raw = raw or text
            how.append(f"{path} has no line matching {probe.regex!r}")
    return replace(probed, raw=raw, how=tuple(how))


def _asked(probed: Probed, probe: VersionProbe, executable: str, environ: Mapping[str, str]) -> Probed:
    words = " ".join([Path(executable).name, *probe.command])
    try:
        captured = capture([executable, *probe.command], env=environ, timeout=VERSION_SECONDS)
    except (OSError, TimeoutError) as error:
        return replace(probed, how=(*probed.how, f"`{words}` did not run: {error}"))
    version = match_version(probe.regex, captured.text)
    said = f"ran `{words}`" if version else f"`{words}` printed nothing matching {probe.regex!r}"
    return replace(probed, version=version, raw=captured.text, how=(*probed.how, said))


def _with_distribution(probed: Probed, name: str, executable: str, paths: Sequence[str] | None) -> Probed:
    # A console script's own environment knows better than ours which distribution it belongs to.
    beside = Path(executable).resolve().parent.parent if executable else None
    own = sorted(map(str, beside.glob("lib/python3*/*-packages"))) if beside else []
    folders = [*own, *(sys.path if paths is None else paths)]
    found = next(_distributions(name, folders), None)
    if found is None:
        problem = "" if executable else f"the Python distribution {name} is not installed"
        how = (*probed.how, f"looked for the Python distribution {name} in {len(folders)} folders")
        return replace(probed, found=bool(executable), how=how, problem=problem)
    metadata, version = found
    how = (*probed.how, f"found the Python distribution {name}")
    return replace(probed, version=version, raw=version, how=how, files=(*probed.files, metadata))


def _distributions(name: str, folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield METADATA path and version of each installed copy."""
    wanted = normalised(name)
    for folder in folders:
        for project, version, entry in distributions_in(folder):
            if project == wanted:
                yield str(Path(folder).absolute() / entry / "METADATA"), version


def judged(probed: Probed, supported: str, executable: str) -> Probed:
    """Return what is found with its version compared with a range; without that the file identifies it."""
    known = in_range(probed.version, supported) if probed.version else None
    if known is False:
        problem = f"{probed.name} {probed.version} is outside the supported range {supported}"
        return replace(probed, in_range=False, problem=problem)
    if known is None and executable:
        probed = replace(probed, fingerprint=str(digest_file(executable)))
    if supported and known is None:
        seen = f"version {probed.version!r}" if probed.version else "an unknown version"
        if probed.fingerprint:
            seen += f" (executable {short(probed.fingerprint)})"
        finding = Finding(
            id="version-unknown",
            level="note",
            message=f"{probed.name} has {seen}; it cannot be compared with {supported}",
            hint="; ".join(probed.how),
        )
        return replace(probed, findings=(finding,))
    return probed
