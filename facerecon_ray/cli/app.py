"""The command line's frame: the application, its consoles, its exit codes, and what a mistake looks like."""

import atexit
import errno
import os
import signal
import sys
from contextlib import suppress
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from facerecon_ray.errors import FaceReconError

EXIT_ERROR = 2
EXIT_STOPPED = 130

app = typer.Typer(
    help="3D face meshes from single photos: crop, fit, rotate, reconstruct, export, as one job on Ray.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

# A process that was started without them has none: what is printed goes nowhere then.
sys.stdout = sys.stdout or TextIOWrapper(FileIO(os.devnull, "w"))
sys.stderr = sys.stderr or TextIOWrapper(FileIO(os.devnull, "w"))

_PATIENT_SIGNALS = 2

_UNCUT = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 1000
"""Columns of what goes to a file or another program, whose tables would be cut to the width of a usual terminal."""

out = Console(highlight=False, soft_wrap=True, width=_UNCUT)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def start() -> NoReturn:
    """What the shell starts: `main`, whose end is the process's end.

    Ray's native threads may outlive `ray.shutdown`, and then abort a process whose libraries are taken down around
    them: a job that had written everything was called failed. So libraries are not taken down.
    """
    code: str | int | None = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or EXIT_ERROR
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Entry point: a mistake of the user is one line on stderr and exit code 2."""
    _stop_on_signals()
    _print_anything()
    try:
        _require_a_folder()
        app()
    except FaceReconError as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(EXIT_ERROR)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or "where this is printed to"
        err.print(f"error: {place}: {error.strerror}", style="red", markup=False)
        sys.exit(EXIT_ERROR)


def _require_a_folder() -> None:
    """Relative names mean nothing in a folder that is deleted."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise FaceReconError("the current folder does not exist any more; change to another one") from None


def _print_anything() -> None:
    """Let characters that the terminal does not know, and names of files that are no text, print as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stop_on_signals() -> None:
    """The first stops what is done, and what there is of it is saved; the second is answered, the third ends all."""
    received = 0

    def stop(number: int, _: Any) -> None:
        nonlocal received
        received += 1
        if number == signal.SIGHUP:
            _forget_terminal()
        if received == 1:
            raise KeyboardInterrupt
        if received > _PATIENT_SIGNALS:
            os._exit(EXIT_STOPPED)
        with suppress(OSError):
            os.write(2, b"Stopping already; once more ends at once, and what is not saved yet is done again.\n")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who starts a job with nohup, or in the background of a script, wants it to go on.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def _forget_terminal() -> None:
    """One that is closed lets nobody write to it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if os.isatty(stream):
            os.dup2(nowhere, stream)
    os.close(nowhere)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from facerecon_ray.storage.software import package_version

        out.print(f"facerecon {package_version()}")
