"""What somebody sends who tried a toolchain: one archive with commands, versions, logs and no secrets."""

from __future__ import annotations

import os
import platform
import re
import zipfile
from typing import TYPE_CHECKING

from edgebuild import __version__
from edgebuild.amounts import size_text
from edgebuild.digest import canonical_json
from edgebuild.environment import store as environment_store
from edgebuild.machine import this_processor
from edgebuild.run.session import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgebuild.environment.probe import Probed
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.toolchain.load import Toolchain

LOG_BYTES = 2_000_000
"""How much of the end of a log goes in."""

SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_KEY|APIKEY|AUTH|LICEN[CS]E|COOKIE", re.IGNORECASE)
"""Variables whose values nobody else may see."""

SHOWN = frozenset({"PATH", "LANG", "LC_ALL", "SHELL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH"})
"""Variables that are shown although no toolchain names them."""

_SHORTEST_SECRET = 6

_LOGIN = re.compile(r"(?<=://)[^\s/@'\"]+@")
"""Who may fetch from an address, such as a package index."""


def write_bundle(path: Path, texts: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Write an archive of texts, with secrets and the user's home taken out of each.

    Args:
        path: The zip file.
        texts: Name inside -> text.
        environ: The caller's environment, to know the secrets by.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(texts.items()):
            archive.writestr(name, redacted(text, environ))


def redacted(text: str, environ: Mapping[str, str]) -> str:
    """Return a text without the values of secret variables, logins in addresses, and the home folder."""
    for name, value in environ.items():
        if SECRET.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, f"<{name}>")
    text = _LOGIN.sub("<login>@", text)
    home = environ.get("HOME", "").rstrip("/")
    return re.sub(rf"{re.escape(home)}(?=[/\s:'\"]|$)", "~", text) if len(home) > 1 else text


def machine_text(toolchain: Toolchain, environ: Mapping[str, str]) -> str:
    """Return the machine and the variables that can matter; of secret ones only that they are set."""
    named = {*SHOWN, *toolchain.env_pass, *toolchain.environment.locate}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    head = [f"edgebuild {__version__}", f"python {platform.python_version()}", platform.platform()]
    head += [f"{this_processor()}, {size_text(memory)} of memory"]
    seen = sorted(named & set(environ))
    rows = [f"{name}={'<set>' if SECRET.search(name) else environ[name]}" for name in seen]
    return "\n".join([*head, *rows, ""])


def tool_texts(probed: Mapping[str, Probed], places: Mapping[str, Surroundings]) -> Iterator[tuple[str, str]]:
    """Yield what was found of each tool, with the raw text that its version was read from."""
    for name, found in probed.items():
        head = {"version": found.version, "found": found.found, "problem": found.problem}
        text = "\n".join([canonical_json(head), *found.how, "--- raw", found.raw, ""])
        yield f"tools/{name.rpartition('/')[2]}.txt", text
    for place in places.values():
        yield "tools/surroundings.txt", "\n".join([place.kind, place.identity, *place.how, ""])


def package_texts(toolchain: Toolchain, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield every distribution in a toolchain's own Python environment, as it is there now."""
    found = environment_store.find(toolchain.environment, cache_root(environ), environ)
    if toolchain.environment.requirements and found:
        yield "tools/packages.txt", "\n".join([*environment_store.distributions(found), ""])


def folder_texts(toolchain: Toolchain) -> Iterator[tuple[str, str]]:
    """Yield the toolchain's own files, so that it is known which templates were tried."""
    for path in sorted(toolchain.folder.iterdir()):
        if path.is_file() and path.stat().st_size <= LOG_BYTES:
            yield f"toolchain/{path.name}", path.read_text(encoding="utf-8", errors="replace")


def rendered_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that were rendered when a graph was known; they lie below the name of their action."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size <= LOG_BYTES:
            name = path.relative_to(folder).as_posix()
            yield f"rendered/{name}", path.read_text(encoding="utf-8", errors="replace")


def log_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the end of every log."""
    for path in sorted(folder.glob("*.log")):
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            yield f"logs/{path.name}", stream.read().decode("utf-8", "replace")
