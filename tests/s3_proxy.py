"""A TCP proxy before an S3 server that can fail in the ways of a real one."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Fault = Literal["500", "503", "silent", "reset", "cut"]

_REASONS = {"500": "Internal Server Error", "503": "Slow Down"}


class S3Proxy:
    """Passes connections on to a server; while a fault is on, every new request meets it instead.

    500, 503  the answer is that error
    silent    no answer ever comes
    reset     the connection is closed without an answer
    cut       the answer breaks off in the middle

    Parameters
    ----------
    port : of the server
    host : address of the server and of the proxy
    own_port : of the proxy; 0 for a free one
    admits : is shown what each request begins with; one that it refuses is answered 503
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        own_port: int = 0,
        admits: Callable[[bytes], bool] = lambda request: True,
    ) -> None:
        self._target = (host, port)
        self._admits = admits
        self._listener = socket.create_server((host, own_port))
        self.endpoint = f"http://{host}:{self._listener.getsockname()[1]}"
        self.fault: Fault | None = None
        self.met = 0
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def failing(self, fault: Fault, seconds: float) -> Iterator[None]:
        """Fail for a while, from now on."""
        self.fault = fault
        timer = threading.Timer(seconds, self._recover)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._recover()

    def close(self) -> None:
        """Accept nothing any more."""
        self._closed.set()
        self._listener.close()

    def _recover(self) -> None:
        self.fault = None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
            try:
                while request := client.recv(1 << 16):
                    fault: Fault | None = self.fault or (None if self._admits(request) else "503")
                    if fault is None or fault == "cut":
                        server.sendall(request)
                        continue
                    self.met += 1
                    if fault == "silent":
                        self._closed.wait(3600)
                    elif fault != "reset":
                        head = f"HTTP/1.1 {fault} {_REASONS[fault]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        client.sendall(head.encode())
                    _shut(client)
                    return
            except OSError:
                return

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(1 << 16):
                if self.fault == "cut":
                    self.met += 1
                    client.sendall(data[: len(data) // 2])
                    break
                client.sendall(data)
        except OSError:
            pass
        _shut(client)


def _shut(connection: socket.socket) -> None:
    """End a connection that another thread may be reading from."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
