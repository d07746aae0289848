"""``edgebuild verify``: a package is what it says, offline; its golden vectors still come out."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebuild.errors import VerificationError
from edgebuild.package import Verification, verify_package
from edgebuild.process.own import capture_step


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What the user asked of ``verify``."""

    package: str
    replay: bool
    json: bool


def verify(options: VerifyOptions) -> int:
    """Check a package and replay its golden vectors where its runtime is present.

    Raises:
        VerificationError: Something in it is not what it should be.
    """
    found = verify_package(Path(options.package))
    replayed = (
        _replay(options.package) if options.replay else {"status": "not replayed", "why": "--no-replay"}
    )
    if options.json:
        print(json.dumps(_document(found, replayed), indent=2, ensure_ascii=False))
    else:
        what = f"{found.name} {found.version} for {found.target} ({found.toolchain}, {found.recipe})"
        print(f"{options.package}: {what}")
        print(f"{len(found.files)} files match their checksums; gates: {found.status}")
        why = f": {replayed['why']}" if replayed["why"] else ""
        print(f"golden vectors: {replayed['status']}{why}")
    if replayed["status"] == "differs":
        raise VerificationError(
            f"{options.package}: the artifact does not give its golden outputs: {replayed['why']}",
            hint="the runtime here differs from the one it was built with; see tools.json in the package",
        )
    return 0


def _replay(package: str) -> dict[str, Any]:
    """Run the replay program in its own process: it needs the runtime, the command line must not."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "replay.json"
        arguments = ["--package", str(Path(package).absolute()), "--output", str(output)]
        done = capture_step("replay", arguments, folder=Path(folder))
        if not output.exists():
            return {
                "status": "not replayed",
                "why": done.text.strip()[-500:] or f"exit code {done.exit_code}",
            }
        found = json.loads(output.read_text(encoding="utf-8"))
    return dict(found)


def _document(found: Verification, replayed: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "package": {
            "name": found.name,
            "target": found.target,
            "version": found.version,
            "digest": found.digest,
        },
        "status": found.status,
        "files": [{"path": e.path, "sha256": e.sha256, "size": e.size} for e in found.files],
        "replay": replayed,
    }
