"""Real servers for remote caches, started on the loopback address for as long as a test needs them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))

USER, PASSWORD = "builder", "s3cret"

# Folders are made on upload below /open/, and by MKCOL only below /strict/.
NGINX_CONF = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 128; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        location /open/ {{ dav_methods PUT; create_full_put_path on; }}
        location /strict/ {{ dav_methods PUT MKCOL; }}
        location /secret/ {{
            dav_methods PUT;
            create_full_put_path on;
            auth_basic cache;
            auth_basic_user_file {folder}/users;
        }}
        location /moved/ {{ return 301 /open/; }}
        location ~ ^/elsewhere/(.*)$ {{ return 302 /open/$1; }}
        location /loop/ {{ return 302 /loop/; }}
        location /broken/ {{ return 500; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Start nginx with its WebDAV methods; gives its address. Files lie in ``files/`` of the folder."""
    if NGINX is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    port = free_port()
    for name in ("files/open", "files/strict", "files/secret"):
        (folder / name).mkdir(parents=True)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, port=port, user=user))
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with _running(command, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Start moto's S3 server, which keeps everything in memory; gives its address."""
    if not all(importlib.util.find_spec(name) for name in ("moto", "flask_cors", "s3fs")):
        pytest.skip("moto with flask and flask-cors, or s3fs, is not installed (the dev extra)")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port):
        yield f"http://127.0.0.1:{port}"


def s3_variables(url: str) -> dict[str, str]:
    """Return what a user sets to reach an S3-compatible server."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.poll() is None, command
                time.sleep(0.05)
            else:
                pytest.fail(f"{command[0]} did not start")
            yield
        finally:
            process.terminate()
            process.wait(10)
