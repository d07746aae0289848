"""``edgebuild toolchain``: what toolchains there are, and the environments that their tools live in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted, size_text
from edgebuild.environment import store as environment_store
from edgebuild.environment.install import Order, install, remove
from edgebuild.environment.surroundings import kind_of, surroundings
from edgebuild.errors import EdgebuildError, UsageError
from edgebuild.run.session import cache_root, search_path
from edgebuild.toolchain.load import load_toolchain, toolchain_names
from edgebuild.verbs.layout import table, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.toolchain.load import Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A toolchain, in a list."""

    name: str
    title: str
    kind: str
    state: str


def list_all(templates: tuple[str, ...], *, as_json: bool) -> int:
    """Print every toolchain: name, where its tools live, and whether that is there."""
    search = search_path(Path.cwd(), templates)
    rows = [_row(name, search) for name in toolchain_names(search)]
    if as_json:
        found = [{"name": r.name, "title": r.title, "environment": r.kind, "state": r.state} for r in rows]
        _print_json({"schema": 1, "toolchains": found})
        return 0
    print("\n".join(table([_cells(row) for row in rows], width=terminal_width())))
    return 0


def _cells(row: Row) -> tuple[str, str, str]:
    if row.kind == "wrong":
        return row.name, row.kind, row.state
    return row.name, f"{row.kind}, {row.state}" if row.state else row.kind, row.title


def _row(name: str, search: tuple[Path, ...]) -> Row:
    try:
        toolchain = load_toolchain(name, search)
    except EdgebuildError as error:
        return Row(name=name, title="", kind="wrong", state=str(error).splitlines()[0])
    return Row(name=name, title=toolchain.title, kind=kind_of(toolchain), state=install_state(toolchain))


def install_state(toolchain: Toolchain) -> str:
    """Return whether a toolchain's own Python environment is there, in words; empty: it has none."""
    if not toolchain.environment.requirements:
        return ""
    found = environment_store.find(toolchain.environment, cache_root(os.environ), os.environ)
    return "installed" if found else "not installed"


def install_all(names: tuple[str, ...], templates: tuple[str, ...], *, again: bool) -> int:
    """Make the environments of toolchains.

    Raises:
        UsageError: There is no such toolchain, or it has no environment of its own.
        ToolchainMissingError: pip failed; nothing usable was left.
    """
    search = search_path(Path.cwd(), templates)
    root = cache_root(os.environ)
    for toolchain in [load_toolchain(name, search) for name in names]:
        if not toolchain.environment.requirements:
            tools = "; ".join(f"{tool.name}: {tool.get}" for tool in toolchain.tools.values())
            raise UsageError(f"{toolchain.name} has no Python environment to install", hint=tools)
        order = Order(toolchain=toolchain.name, environment=toolchain.environment, root=root, again=again)
        print(f"{toolchain.name}: installing", file=sys.stderr)
        with _stoppable():
            found, made = install(order, os.environ, _progress)
        count = counted(len(environment_store.distributions(found)), "distribution")
        what = f"{size_text(found.size)}, {count}"
        how = f"installed in {found.seconds:g} s" if made else "was there already"
        print(f"{toolchain.name}: {how}: {found.folder} ({what})")
        place = surroundings(toolchain, os.environ, root)
        if place is not None and place.problem:  # such as a Java that is missing
            print(f"edgebuild: warning: {place.problem}; {place.get}", file=sys.stderr)
    return 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C: what was begun is ended and removed."""

    def stop(number: int, frame: Any) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show_installed(*, as_json: bool) -> int:
    """Print the environments of the cache."""
    root = cache_root(os.environ)
    found = environment_store.installed(root)
    users = _users(root)
    if as_json:
        rows = [
            {
                "path": str(one.folder),
                "toolchains": list(one.toolchains),
                "used_by": users.get(one.folder, []),
                "python": one.python,
                "size": one.size,
                "seconds": one.seconds,
                "installed": one.installed,
                "distributions": list(environment_store.distributions(one)),
            }
            for one in found
        ]
        _print_json({"schema": 1, "environments": rows})
        return 0
    if not found:
        print(f"no environments in {root}")
        return 0
    cells = [
        (
            ", ".join(dict.fromkeys([*one.toolchains, *users.get(one.folder, ())])),
            f"Python {one.python}",
            size_text(one.size),
            one.installed[:10],
            str(one.folder),
        )
        for one in found
    ]
    print("\n".join(table(cells)))
    return 0


def _users(root: Path) -> dict[Path, list[str]]:
    """Return which toolchains find which environment, also those that never asked for it."""
    users: dict[Path, list[str]] = {}
    search = search_path(Path.cwd())
    for name in toolchain_names(search):
        with contextlib.suppress(EdgebuildError):
            needs = load_toolchain(name, search).environment
            found = environment_store.find(needs, root, os.environ) if needs.requirements else None
            if found:
                users.setdefault(found.folder, []).append(name)
    return users


def remove_all(name: str) -> int:
    """Remove every environment that was made for a toolchain, of this or of earlier requirements.

    Raises:
        UsageError: There is none.
        StoreError: It cannot be removed.
    """
    found = [one for one in environment_store.installed(cache_root(os.environ)) if name in one.toolchains]
    if not found:
        raise UsageError(
            f"no environment was made for {name}", hint="`edgebuild toolchain installed` shows all"
        )
    users = _users(cache_root(os.environ))
    for one in found:
        others = [other for other in users.get(one.folder, ()) if other != name]
        if remove(one, name):
            print(f"removed {one.folder} ({size_text(one.size)})")
            if others:
                print(f"{', '.join(others)} used it too: `edgebuild toolchain install {' '.join(others)}`")
        else:
            owners = ", ".join(other for other in one.toolchains if other != name)
            print(f"{one.folder} stays: {owners} needs it too")
    return 0


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))
