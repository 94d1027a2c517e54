"""Run on the store's host, HOST PORT OWN_PORT: the store through a gate that lets only so many of some requests in.

Each line of its standard input is COUNT PREFIX: from now on so many of the requests that begin with that, for instance
"PUT /bucket/results/", are let in, and further ones are answered 503 (slow down). It prints "held PREFIX" when the
first of those comes.
"""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from s3_proxy import S3Proxy


class Gate:
    """Knows how many requests of each kind may still pass."""

    def __init__(self) -> None:
        self._left: dict[bytes, int] = {}
        self._held: set[bytes] = set()
        self._lock = threading.Lock()

    def allow(self, prefix: bytes, count: int) -> None:
        """Let so many more in."""
        with self._lock:
            self._left[prefix] = count
            self._held.discard(prefix)

    def admits(self, request: bytes) -> bool:
        """Whether a request that begins so is let in."""
        with self._lock:
            prefix = next(filter(request.startswith, self._left), None)
            if prefix is None:
                return True
            self._left[prefix] -= 1
            if self._left[prefix] < 0 and prefix not in self._held:
                self._held.add(prefix)
                say(f"held {prefix.decode()}")
            return self._left[prefix] >= 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    host, port, own_port = sys.argv[1:]
    gate = Gate()
    S3Proxy(int(port), host, int(own_port), gate.admits)
    say("ready")
    for line in sys.stdin:
        count, start = line.rstrip("\n").split(" ", 1)
        gate.allow(start.encode(), int(count))
