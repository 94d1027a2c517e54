import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from facerecon_ray.evaluation.figures import Figure
from facerecon_ray.evaluation.gates import Gate, GateResult
from facerecon_ray.evaluation.webhook import message, send

FIGURE = Figure("embedded", "fitted", "all", "nme", 0.034, 108)
FAILED = GateResult(Gate(metric="nme", max=0.02), FIGURE, "at most 0.02", False)
PASSED = GateResult(Gate(metric="nme", max=0.05), FIGURE, "at most 0.05", True)


class Receiver(HTTPServer):
    answer = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, dict[str, object]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/T0/B0/secret"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_failed_gate_arrives_as_slack_wants_it(receiver: Receiver) -> None:
    assert send(receiver.url, message([PASSED, FAILED], "s3://bucket/night/index.html")) is None
    kind, body = receiver.received[0]
    assert kind.startswith("application/json")
    assert body["text"] == "Face reconstruction: 1 of 2 gates failed"
    text = json.dumps(body["blocks"], ensure_ascii=False)
    assert "nme of fitted on embedded (all) is 0.034, at most 0.02" in text
    assert "s3://bucket/night/index.html" in text


def test_passed_gates_are_counted() -> None:
    assert message([PASSED, PASSED], "out")["text"] == "Face reconstruction: evaluation finished, 2 gates passed"


def test_a_refusal_is_reported_without_the_secret_address(receiver: Receiver) -> None:
    receiver.answer = 403
    assert send(receiver.url, {"text": "x"}) == "the server answered 403"


def test_nobody_there_is_reported_without_the_secret_address() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    problem = send(f"http://127.0.0.1:{port}/secret", {"text": "x"})
    assert problem is not None
    assert "secret" not in problem


def test_only_web_addresses_are_opened() -> None:
    assert send("file:///etc/passwd", {"text": "x"}) == "its address does not start with http:// or https://"
