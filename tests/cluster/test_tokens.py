import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from facerecon_ray.cluster.tokens import send_token, token_advice
from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline.remote.submission import JobServer


class Refuses(BaseHTTPRequestHandler):
    """Answers as the dashboard of a cluster does that asks for a token."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"Unauthorized: Missing authentication token")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", address)
    yield address
    server.shutdown()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_dashboard_that_asks_for_a_token_is_one_line_that_names_the_variables(refusing: str):
    with pytest.raises(FaceReconError) as caught:
        JobServer(refusing)
    wanted = "asks for a token: set RAY_AUTH_TOKEN to it, or RAY_AUTH_TOKEN_PATH to the file that holds it"
    assert str(caught.value) == f"the Ray cluster at {refusing} {wanted}"


def test_a_token_that_is_there_is_sent_unless_the_mode_forbids_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    send_token()
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    send_token()
    assert token_advice() == "asks for a token, but RAY_AUTH_MODE is disabled: set RAY_AUTH_MODE=token"
    monkeypatch.delenv("RAY_AUTH_MODE")
    send_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert token_advice().startswith("asks for another token than that of ~/.ray/auth_token; ")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "1" * 64)
    assert "that of RAY_AUTH_TOKEN;" in token_advice()


def test_a_user_without_a_home_has_no_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["nobody"])
    send_token()
    assert "RAY_AUTH_MODE" not in os.environ
