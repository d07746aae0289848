"""Identity of edgebuild's own steps: their code, the interpreter, and the distributions they use.

Nothing is imported to find out: a distribution's version is the name of its ``.dist-info`` directory, a
step's code is the digest of its source files and of every module of ours that they import.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.digest import digest_bytes, digest_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parent

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where the statements of a module, a function, a class or a compound statement are."""

YOLO_EXTRA = "pip install 'edgebuild[yolo]'"


def own_identities(names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the identity of each of edgebuild's own tools.

    Args:
        names: Such as ``python``, ``code:edgebuild.steps.export``, ``distribution:onnx``, or
            ``distribution:a|b`` where either will do. Others are left alone.

    Returns:
        Identity per name, and the distributions that are missing.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    for name in names:
        kind, colon, what = name.partition(":")
        if name == "python":
            found[name] = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
        elif colon and kind == "code":
            found[name] = code_identity(what)
        elif colon and kind == "distribution":
            version = distribution_version(what)
            found[name] = version
            missing += [] if version else [what]
    return found, tuple(missing)


def distribution_version(names: str) -> str:
    """Return ``name version`` of the first installed distribution among ``a|b|c``, or an empty string."""
    installed = installed_distributions()
    for name in names.split("|"):
        version = installed.get(normalised(name))
        if version:
            return f"{name} {version}" if "|" in names else version
    return ""


def normalised(name: str) -> str:
    """Return a distribution's name in the one spelling (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=1)
def installed_distributions() -> Mapping[str, str]:
    """Return normalised name -> version of everything importable, first on the path wins."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for name, version, _ in distributions_in(folder):
            found.setdefault(name, version)
    return found


def distributions_in(folder: str | Path) -> Iterator[tuple[str, str, str]]:
    """Yield normalised name, version and metadata folder of every distribution in a folder, sorted."""
    try:
        entries = sorted(os.listdir(folder or "."))  # noqa: PTH208 - thousands of names, no Path each
    except OSError:
        return
    for entry in entries:
        name, dash, version = entry.removesuffix(".dist-info").rpartition("-")
        if dash and entry.endswith(".dist-info"):
            yield normalised(name), version, entry


@lru_cache(maxsize=64)
def code_identity(module: str) -> str:
    """Return the digest of a module of ours and of all modules of ours that it imports."""
    if _source(module) is None:
        raise LookupError(f"{module} is no module: its code could change without changing a key")
    files = {str(path.relative_to(ROOT)): digest_bytes(path.read_bytes()) for path in _closure(module)}
    return digest_tree(files.items())


def _closure(module: str) -> set[Path]:
    todo = [module]
    seen: set[str] = set()
    files: set[Path] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _source(name)
        if path is not None:
            files.add(path)
            todo += _imports(path)
    return files


def _source(module: str) -> Path | None:
    """Return the file of a module of ours; None for a name that is something inside a module."""
    base = ROOT.joinpath(*module.split(".")[1:])
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


@lru_cache(maxsize=256)
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(name for name in _imported(ast.parse(path.read_bytes())) if name.startswith("edgebuild."))


def _imported(tree: ast.AST) -> Iterator[str]:
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        # An import is a statement: only what holds statements is looked into, a tenth of the tree.
        for block in _BLOCKS:
            todo += getattr(node, block, ())
