"""Fleets brought up to date once, so that there is nothing left to do: for edgebuild and for its peers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from common import HERE, Command, Sample, edgebuild, environment, fresh, once
from fleet import write_fleet

sys.path.insert(0, str(HERE / "peers"))

import dag
import dvc_yaml

if TYPE_CHECKING:
    from pathlib import Path

PEERS = HERE / "peers"


class Fleet:
    """A fleet in a folder of its own.

    Args:
        work: Where folders are made.
        models: How many.
        targets: How many each.
    """

    def __init__(self, work: Path, models: int, targets: int) -> None:
        self.work = work
        self.models = models
        self.targets = targets
        self.names = [f"m{model:02}.yaml" for model in range(models)]

    def edgebuild(self) -> EdgebuildFleet:
        """Return it built by edgebuild, looked at twice: the second look is noted."""
        root = fresh(self.work / f"edgebuild-{self.models}x{self.targets}")
        return EdgebuildFleet(self, root)

    def doit(self, backend: str, *words: str) -> Command:
        """Return plain doit on it."""
        root = self._peer(f"doit-{backend}")
        sizes = {"BENCH_MODELS": str(self.models), "BENCH_TARGETS": str(self.targets)}
        argv = [sys.executable, "-m", "doit", "-f", str(PEERS / "dodo.py"), "-d", str(root), *words]
        env = environment(root, BENCH_BACKEND=backend, **sizes)
        return Command(name=f"doit ({backend})", argv=argv, cwd=root, env=env)

    def snakemake(self, folder: Path) -> Command:
        """Return Snakemake on it, from an environment of its own."""
        root = self._peer("snakemake")
        sizes = [f"models={self.models}", f"targets={self.targets}"]
        argv = [str(folder / "snakemake/bin/snakemake"), "-s", str(PEERS / "Snakefile"), "-d", str(root)]
        argv += ["-c", "2", "--config", *sizes]
        return Command(name="Snakemake", argv=argv, cwd=root, env=environment(root), rounds=5)

    def dvc(self, folder: Path) -> Command:
        """Return DVC on it, from an environment of its own."""
        root = self._peer("dvc")
        program = str(folder / "dvc/bin/dvc")
        (root / "dvc.yaml").write_text(dvc_yaml.text(self.models, self.targets), encoding="utf-8")
        env = environment(root, DVC_NO_ANALYTICS="1")
        for row in dag.rows(self.models, self.targets):
            subprocess.run(dag.command(row), cwd=root, check=True)
        # `dvc repro` would do the work as well, in a quarter of an hour.
        for words in (["init", "-q", "--no-scm"], ["commit", "-q", "-f"]):
            subprocess.run([program, *words], cwd=root, env=env, check=True)
        return Command(name="DVC", argv=[program, "repro"], cwd=root, env=env, rounds=3)

    def plain(self, python: str = "") -> Command:
        """Return the same commands and nothing else, two at once, one level of the graph after another."""
        root = self._peer("plain-python" if python else "plain")
        levels: dict[int, list[str]] = {}
        level_of: dict[str, int] = {}
        for row in dag.rows(self.models, self.targets):
            level = 1 + max((level_of.get(path, 0) for path in row[1]), default=0)
            level_of |= dict.fromkeys(row[2], level)
            levels.setdefault(level, []).append(" ".join(dag.command(row, python)[1:]))
        for level, lines in levels.items():
            (root / f"level{level}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        program = python or "sh"
        script = " && ".join(f"xargs -P 2 -L 1 {program} <level{level}" for level in sorted(levels))
        return Command(name="plain", argv=["sh", "-c", script], cwd=root, env=environment(root))

    def clean(self, root: Path) -> None:
        """Take everything that a peer made out of its folder; make the folders of the outputs."""
        for path in (root / "out", *root.glob(".doit*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        outputs = (path for row in dag.rows(self.models, self.targets) for path in row[2])
        for folder in {path.rpartition("/")[0] for path in outputs}:
            (root / folder).mkdir(parents=True)

    def _peer(self, name: str) -> Path:
        root = fresh(self.work / f"{name}-{self.models}x{self.targets}")
        write_fleet(root, self.models, self.targets)
        for body in ("body.sh", "body.py"):
            shutil.copyfile(PEERS / body, root / body)
        self.clean(root)
        return root


class EdgebuildFleet:
    """A fleet that edgebuild has built."""

    def __init__(self, fleet: Fleet, root: Path) -> None:
        self.fleet = fleet
        self.root = root
        self.env = environment(root)
        write_fleet(root, fleet.models, fleet.targets)

    def build(self) -> None:
        """Bring it up to date with bodies that start no process, and have that noted."""
        argv = [sys.executable, str(HERE / "trivial_run.py"), "run", *self.fleet.names, "-q"]
        env = {**self.env, "BENCH_BODY": "inside"}
        once(Command(name="set-up", argv=argv, cwd=self.root, env=env), Sample())
        self.settle()

    def settle(self) -> None:
        """Run until there is nothing to do and that is noted."""
        for _ in range(2):
            once(self.idle(), Sample())
        if not self.notes():
            raise RuntimeError("edgebuild did not note that there is nothing to do")

    def idle(self, name: str = "edgebuild") -> Command:
        """Return the run that has nothing to do."""
        return Command(name=name, argv=edgebuild("run", *self.fleet.names), cwd=self.root, env=self.env)

    def full(self, name: str = "edgebuild, full path") -> Command:
        """Return the same, on the full path: without the note that there is nothing to do."""
        return Command(name=name, argv=self.idle().argv, cwd=self.root, env=self.env, before=self.forget)

    def cold(self) -> Command:
        """Return the build from nothing, two actions at once."""
        argv = [sys.executable, str(HERE / "trivial_run.py"), "run", *self.fleet.names, "-j", "2", "-q"]
        return Command(name="edgebuild", argv=argv, cwd=self.root, env=self.env, before=self.clean)

    def floor(self) -> Command:
        """Return the Python floor: read the note, stat every file in it."""
        argv = [sys.executable, str(HERE / "floor.py"), str(self.notes()[0])]
        return Command(name="floor", argv=argv, cwd=self.root, env=self.env)

    def notes(self) -> list[Path]:
        """Return the notes that there is nothing to do."""
        return sorted((self.root / ".edgebuild" / "idle").glob("*.json"))

    def forget(self) -> None:
        """Remove those notes."""
        for path in self.notes():
            path.unlink()

    def clean(self) -> None:
        """Remove everything that edgebuild made."""
        for name in (".edgebuild", "build", "dist", "cache"):
            shutil.rmtree(self.root / name, ignore_errors=True)
