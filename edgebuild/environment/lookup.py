"""What is here of toolchains, looked for when it is first asked for and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.environment.surroundings import probe_in, surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.environment.probe import Probed
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.toolchain.load import Tool, Toolchain


class Lookup:
    """Looks for toolchains and their tools, for each once: to source an SDK's script may take seconds.

    Args:
        environ: The caller's environment.
        root: The cache, which installed environments are in.
    """

    def __init__(self, environ: Mapping[str, str], root: Path) -> None:
        self._environ = environ
        self._root = root
        self._places: dict[str, Surroundings | None] = {}
        self._probed: dict[tuple[str, str], Probed] = {}

    def place(self, toolchain: Toolchain) -> Surroundings | None:
        """Return where a toolchain's processes run; None: in the caller's environment."""
        if toolchain.name not in self._places:
            self._places[toolchain.name] = surroundings(toolchain, self._environ, self._root)
        return self._places[toolchain.name]

    def tool(self, toolchain: Toolchain, tool: Tool) -> Probed:
        """Return what is known of a tool where the toolchain's processes run."""
        key = toolchain.name, tool.name
        if key not in self._probed:
            self._probed[key] = probe_in(self.place(toolchain), toolchain, tool, self._environ)
        return self._probed[key]
