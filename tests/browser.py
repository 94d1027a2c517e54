"""Pages in headless Chromium."""

import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--hide-scrollbars", "--no-first-run")
DRAWING = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--virtual-time-budget=8000")


def screenshot(address: str, folder: Path, width: int = 1200, height: int = 800) -> np.ndarray:
    """(height, width, 3) uint8 picture of a page; the folder is for the browser's own files."""
    target = folder / "screenshot.png"
    size = f"--window-size={width},{height}"
    command = [*_browser(folder), *DRAWING, size, f"--screenshot={target}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return np.asarray(Image.open(target).convert("RGB"))


class _Server(ThreadingHTTPServer):
    """Serves a folder, and keeps what its pages post."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.posted: Queue[str] = Queue()


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.server.posted.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def posted_by(page: Path) -> str:
    """What a page of a folder that is served posts there."""
    server = _Server(page.parent)
    Thread(target=server.serve_forever).start()
    address = f"http://127.0.0.1:{server.server_port}/{page.name}"
    browser = subprocess.Popen(
        [*_browser(page.parent), "--remote-debugging-port=0", address], stderr=subprocess.DEVNULL
    )
    try:
        return server.posted.get(timeout=60)
    finally:
        browser.terminate()
        browser.wait()
        server.shutdown()
        server.server_close()


def _browser(folder: Path) -> list[str]:
    name = next(filter(None, map(shutil.which, NAMES)), None)
    if not name:
        pytest.skip("no Chromium: install Debian's package chromium to run the tests in a browser")
    return [name, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
