from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionKey
from edgebuild.digest import digest_bytes
from edgebuild.errors import UsageError
from edgebuild.remote.http import HttpRemote
from edgebuild.remote.interface import DamagedError, RemoteError
from tests.servers import free_port
from tests.unit.fault_server import Faults, fault_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = ActionKey("ab" * 32)
DATA = b"0123456789" * 100
DIGEST = digest_bytes(DATA)
BLOB = "/cache/cas/" + DIGEST.removeprefix("sha256:")
RECORD = f"/cache/ac/{KEY}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody's netrc


@pytest.fixture
def server() -> Iterator[Faults]:
    with fault_server() as faults:
        faults.files[BLOB] = DATA
        yield faults


def remote(server: Faults, timeout: float = 10, **environ: str) -> HttpRemote:
    return HttpRemote(server.url, environ, timeout=timeout)


def get(server: Faults, to: Path, timeout: float = 10) -> bool:
    return remote(server, timeout).get_blob(DIGEST, to / "blob", size=len(DATA))


@pytest.mark.parametrize("fault", ["500", "503", "429", "reset", "cut"])
def test_what_may_be_better_a_moment_later_is_asked_again(server: Faults, tmp_path: Path, fault: str) -> None:
    server.next = [fault]
    assert get(server, tmp_path)
    assert (tmp_path / "blob").read_bytes() == DATA
    assert server.count("GET") == 2


@pytest.mark.parametrize(
    ("fault", "words", "asked"),
    [
        ("500", "answers HTTP 500", 3),
        ("reset", "broke off", 2),
        ("cut", "broke off", 2),
        ("401", "credentials", 1),
        ("403", "credentials", 1),
        ("400", "answers HTTP 400", 1),
        ("redirect /cache/cas/loop", "redirect", 4),
    ],
)
def test_what_stays_wrong_is_an_error_after_a_bounded_number_of_tries(
    server: Faults, tmp_path: Path, fault: str, words: str, asked: int
) -> None:
    server.always = fault
    with pytest.raises(RemoteError, match=words):
        get(server, tmp_path)
    assert server.count("GET") == asked
    assert not (tmp_path / "blob").exists()


@pytest.mark.parametrize("fault", ["flip", "short", "endless"])
def test_wrong_bytes_are_damage_and_not_asked_for_again(server: Faults, tmp_path: Path, fault: str) -> None:
    server.always = fault
    with pytest.raises(DamagedError, match=DIGEST.removeprefix("sha256:")):
        get(server, tmp_path)
    assert server.count("GET") == 1
    assert not (tmp_path / "blob").exists()


def test_silence_is_waited_for_once(server: Faults, tmp_path: Path) -> None:
    server.always = "hang"
    with pytest.raises(RemoteError, match=r"no answer within 0\.2 s"):
        get(server, tmp_path, timeout=0.2)
    assert server.count("GET") == 1


def test_a_sender_of_single_bytes_is_left(server: Faults, tmp_path: Path) -> None:
    server.always = "drip"
    with pytest.raises(RemoteError, match="slower than"):
        get(server, tmp_path, timeout=0.3)
    assert not (tmp_path / "blob").exists()


def test_nobody_listens(tmp_path: Path) -> None:
    nobody = HttpRemote(f"http://127.0.0.1:{free_port()}", {}, timeout=5)
    with pytest.raises(RemoteError, match="refused"):
        nobody.get_record(KEY)
    with pytest.raises(RemoteError, match="refused"):
        nobody.put_record(KEY, b"x")
    (tmp_path / "blob").write_bytes(DATA)
    with pytest.raises(RemoteError, match="refused"):
        nobody.put_blob(DIGEST, tmp_path / "blob")


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(RemoteError, match=r"host nowhere\.invalid cannot be found"):
        HttpRemote("http://nowhere.invalid/", {}, timeout=5).get_record(KEY)


def test_a_server_that_speaks_no_tls(server: Faults) -> None:
    with pytest.raises(RemoteError, match="no trusted connection"):
        HttpRemote(server.url.replace("http:", "https:"), {}, timeout=5).get_record(KEY)


def test_a_redirect_is_followed_for_downloads(server: Faults, tmp_path: Path) -> None:
    server.next = [f"redirect {BLOB}"]
    assert get(server, tmp_path)


def test_an_upload_is_not_redirected_into_nothing(server: Faults) -> None:
    server.next = ["redirect http://user:pw@127.0.0.1/elsewhere?token=1"]
    with pytest.raises(RemoteError, match=r"has moved \(HTTP 302\) to http://127\.0\.0\.1/elsewhere$"):
        remote(server).put_record(KEY, b"x")
    assert RECORD not in server.files


def test_an_upload_is_repeated_from_its_start(server: Faults, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(DATA)
    del server.files[BLOB]
    server.next = ["503", "reset"]
    remote(server).put_blob(DIGEST, tmp_path / "blob")
    assert server.files[BLOB] == DATA


@pytest.mark.parametrize("fault", ["405", "507", "413"])
def test_an_upload_that_is_refused_is_an_error(server: Faults, fault: str) -> None:
    server.always = fault
    with pytest.raises(RemoteError, match=f"answers HTTP {fault}"):
        remote(server).put_record(KEY, b"x")


def test_a_record_that_is_refused_names_the_flag_of_a_common_server(server: Faults, tmp_path: Path) -> None:
    server.always = "400"
    with pytest.raises(RemoteError, match=r"HTTP 400 .*bazel-remote .*--disable_http_ac_validation"):
        remote(server).put_record(KEY, b"x")
    (tmp_path / "blob").write_bytes(DATA)
    with pytest.raises(RemoteError, match=r"HTTP 400 Bad Request$"):
        remote(server).put_blob(DIGEST, tmp_path / "blob")


def test_a_server_without_head_is_one_that_has_nothing(server: Faults) -> None:
    assert remote(server).has_blob(DIGEST, size=len(DATA))
    server.always = "405"
    assert not remote(server).has_blob(DIGEST, size=len(DATA))


def test_one_connection_serves_many_requests(server: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib3.connection import HTTPConnection

    connected: list[object] = []
    connect = HTTPConnection.connect

    def counted(self: HTTPConnection) -> None:
        connected.append(self)
        connect(self)

    monkeypatch.setattr(HTTPConnection, "connect", counted)
    one = remote(server)
    for _ in range(5):
        one.put_record(KEY, b"x")
        assert one.get_record(KEY) == b"x"
        assert one.has_blob(DIGEST, size=len(DATA))
        assert one.get_record(ActionKey("00" * 32)) is None
    assert len(connected) == 1


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_token_goes_along(server: Faults) -> None:
    remote(server, EDGEBUILD_REMOTE_TOKEN="t0ken").get_record(KEY)
    assert server.headers["authorization"] == "Bearer t0ken"
    remote(server, EDGEBUILD_REMOTE_TOKEN="t0ken\n").get_record(KEY)
    assert server.headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("token", ["se cret", "se\ncret", "secr\u00e9t"])
def test_what_no_header_can_hold_is_no_token_and_is_not_shown(server: Faults, token: str) -> None:
    with pytest.raises(UsageError, match="EDGEBUILD_REMOTE_TOKEN") as caught:
        remote(server, EDGEBUILD_REMOTE_TOKEN=token)
    assert token not in str(caught.value)


def test_the_user_of_the_address_comes_first_and_stays_out_of_sight(server: Faults) -> None:
    url = server.url.replace("http://", "http://me%40home:p%2Fw@")
    server.always = "401"
    with pytest.raises(RemoteError) as caught:
        HttpRemote(url, {"EDGEBUILD_REMOTE_TOKEN": "t0ken"}, timeout=5).get_record(KEY)
    assert server.headers["authorization"] == basic("me@home:p/w")
    assert "p/w" not in str(caught.value)
    assert "p%2Fw" not in str(caught.value)


def test_netrc_is_the_last_to_be_asked(server: Faults, tmp_path: Path) -> None:
    place = tmp_path / "netrc"
    place.write_text("machine 127.0.0.1 login lo password pw\n")
    place.chmod(0o600)
    remote(server, NETRC=str(place)).get_record(KEY)
    assert server.headers["authorization"] == basic("lo:pw")
    place.write_text("machine\n")
    remote(server, NETRC=str(place)).get_record(KEY)
    assert "authorization" not in server.headers


def test_credentials_do_not_follow_a_redirect_to_another_host(server: Faults) -> None:
    with fault_server() as other:
        server.next = [f"redirect {other.url}/ac/{KEY}"]
        other.files[RECORD] = b"there"
        assert remote(server, EDGEBUILD_REMOTE_TOKEN="t0ken").get_record(KEY) == b"there"
        assert "authorization" not in other.headers


def test_a_proxy_of_the_environment_is_used(server: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = server.url.removesuffix("/cache").replace("http://", "http://me:pw@")
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "intern.example")
    with pytest.raises(RemoteError, match="cannot be found"):
        HttpRemote("http://intern.example/x", {}, timeout=2).get_record(KEY)
    assert HttpRemote("http://cache.example/x", {}, timeout=5).get_record(KEY) is None
    assert server.asked == [f"GET http://cache.example/x/ac/{KEY}"]
    assert server.headers["proxy-authorization"] == basic("me:pw")


@pytest.mark.parametrize("url", ["http://", "http:///path", "http://host:none/", "http://host:99999/"])
def test_an_address_without_a_host_is_a_mistake(url: str) -> None:
    with pytest.raises(UsageError, match="names no host"):
        HttpRemote(url, {}, timeout=5)
