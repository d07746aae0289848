"""Container engines of the tests' own, each with storage of its own, and the images loaded into them."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKOUT = Path(__file__).resolve().parents[2]

ENGINES = ("podman", "podman as a user", "docker")

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "cat", "ls", "echo", "id", "touch", "sleep", "env", "grep", "rm", "yes", "head", "dd")

ACMEC = """#!/bin/sh
[ "$1" = --version ] && { echo "acmec 2.5 (/opt/acme)"; exit 0; }
cat "$1" > "$2"
"""

# What a machine without systemd, and without the right to raise limits, needs to run containers at all.
CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""

NOT_NEEDED = {
    "__pycache__", "ensurepip", "idlelib", "include", "lib2to3", "pydoc_data", "site-packages", "test",
    "tests", "tkinter", "turtledemo",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine that can run containers.

    Attributes:
        program: ``podman`` or ``docker``.
        environ: What its processes need.
        user: Who calls it, as (uid, gid).
        folder: A directory of that user's.
    """

    program: str
    environ: Mapping[str, str]
    user: tuple[int, int]
    folder: Path

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands."""
        argv = [self.program, *words]
        env = dict(self.environ)
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    @contextlib.contextmanager
    def called_by_its_user(self) -> Iterator[None]:
        """Be that user, as far as files and started processes go; saved ids bring us back."""
        before = (os.getuid(), os.getgid(), os.getgroups())
        if self.user == before[:2]:
            yield
            return
        with contextlib.chdir(self.folder):  # where the tests run may be closed to that user
            os.setgroups([])
            os.setresgid(self.user[1], self.user[1], 0)
            os.setresuid(self.user[0], self.user[0], 0)
            try:
                yield
            finally:
                os.setresuid(before[0], before[0], before[0])
                os.setresgid(before[1], before[1], before[1])
                os.setgroups(before[2])


@contextlib.contextmanager
def engine(name: str, images: Mapping[str, Path]) -> Iterator[Engine]:
    """Yield an engine with images in it; skips where it cannot be had."""
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="eb-", ignore_cleanup_errors=True))
        )
        if name == "docker":
            found = stack.enter_context(_docker(folder))
        else:
            found = stack.enter_context(_podman(folder, other=name != "podman"))
        with found.called_by_its_user():
            if not os.access(CHECKOUT / "edgebuild", os.X_OK):
                pytest.skip(f"the user who would call {name} may not read {CHECKOUT}")
            for image, tar in images.items():
                done = found("import", "--change", 'ENTRYPOINT ["/bin/false"]', str(tar), image)
                assert done.returncode == 0, done.stderr
            done = found("run", "--rm", "--network=none", "--entrypoint=true", next(iter(images)))
        if done.returncode:
            pytest.skip(f"{name} cannot run a container on this machine: {done.stderr.strip()}")
        yield found


@contextlib.contextmanager
def _podman(folder: Path, *, other: bool) -> Iterator[Engine]:
    _need("podman", "runc")
    user = _unprivileged() if other else (os.getuid(), os.getgid())
    (folder / "containers.conf").write_text(CONTAINERS, encoding="utf-8")
    storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(storage, encoding="utf-8")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "CONTAINERS_CONF": f"{folder}/containers.conf",
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
    }
    for path in (folder, *folder.iterdir()):
        os.chown(path, *user)
    found = Engine(program="podman", environ=environ, user=user, folder=folder)
    yield found
    if user[0]:
        with found.called_by_its_user():
            found("system", "migrate")  # ends the process that keeps the user's namespace


def _unprivileged() -> tuple[int, int]:
    """Return a user who may run containers, other than the one who runs the tests."""
    if os.getuid():
        pytest.skip("podman runs as a user in any case here")
    _need("newuidmap")
    for line in Path("/etc/subuid").read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(line.partition(":")[0])
            if found.pw_uid:
                return found.pw_uid, found.pw_gid
    pytest.skip("no user of this machine has subordinate ids in /etc/subuid")


@contextlib.contextmanager
def _docker(folder: Path) -> Iterator[Engine]:
    """Start a daemon that has nothing to do with the machine's own, nor with its network."""
    _need("docker", "dockerd")
    if os.getuid():
        pytest.skip("only root can start a docker daemon of the tests' own")
    host = f"unix://{folder}/docker.sock"
    argv = ["dockerd", f"--host={host}", f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    argv += [f"--pidfile={folder}/pid", "--bridge=none", "--iptables=false", "--ip-forward=false"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": host}
    found = Engine(program="docker", environ=environ, user=(os.getuid(), os.getgid()), folder=folder)
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while found("version").returncode and daemon.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if found("version").returncode:
            pytest.skip("a docker daemon cannot be started on this machine")
        yield found
    finally:
        daemon.terminate()
        daemon.wait(30)


def _need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def acme_image(folder: Path, version: str) -> Path:
    """Write the files of an image that holds a compiler and a shell."""
    _need("busybox")
    root = folder / f"root-{version}"
    for name in ("bin", "opt"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in (*APPLETS, "true", "false"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "bin/acmec").write_text(ACMEC.replace("2.5", f"2.{version}"), encoding="utf-8")
    (root / "bin/acmec").chmod(0o755)
    (root / "opt/version.txt").write_text(f"release {version}.7\n", encoding="utf-8")
    with tarfile.open(folder / f"acme-{version}.tar", "w") as archive:
        archive.add(root, arcname=".")
    return folder / f"acme-{version}.tar"


def python_image(folder: Path) -> Path:
    """Write the files of an image that holds this Python, NumPy, and nothing else."""
    numpy = Path(pytest.importorskip("numpy").__file__).parent
    standard, program = Path(sysconfig.get_path("stdlib")), Path(sys.executable).resolve()
    inside = f"opt/python/lib/{standard.name}"
    bundled = numpy.parent / "numpy.libs"
    binaries = [program, *standard.glob("lib-dynload/*.so"), *numpy.rglob("*.so"), *bundled.glob("*")]
    with tarfile.open(folder / "python.tar", "w") as archive:
        archive.add(program, "opt/python/bin/python3")
        _link(archive, "bin/python3", "/opt/python/bin/python3")
        archive.add(standard, inside, filter=_wanted)
        for part in (numpy, bundled):
            archive.add(part, f"{inside}/{part.name}", filter=_wanted)
        for library in _libraries(binaries, but=bundled):
            place = "lib64" if library.name.startswith("ld-") else "lib"
            archive.add(library.resolve(), f"{place}/{library.name}")
        archive.add(BUSYBOX, "bin/busybox")
        for name in ("sh", "true", "false"):
            _link(archive, f"bin/{name}", "busybox")
    return folder / "python.tar"


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = member.name.split("/")
    config = any(part.startswith("config-") for part in parts)
    return None if config or NOT_NEEDED & set(parts) else member


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    archive.addfile(member)


def _libraries(binaries: list[Path], *, but: Path) -> list[Path]:
    """Return the libraries that binaries are linked with, but for those of one folder."""
    said = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    found = {Path(match) for match in re.findall(r"(/\S+) \(0x", said)}
    return sorted(path for path in found if path.resolve().parent != but)
