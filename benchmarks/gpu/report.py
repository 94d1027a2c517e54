"""What a check writes as it goes, a line of JSON for each result and the same to read; and how long phases may be.

A run that is cut off has lost what came after, nothing else.
"""

import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GRACE, LEAST_GRACE = 0.25, 20.0
"""A phase whose last step does not end by itself is ended after this share of its seconds more, at least so many."""


class TimeUpError(BaseException):
    """A phase was ended in the middle of a step; no stage may take it for a photo's fault."""


class Report:
    """Results of a run in a folder: results.jsonl and summary.txt.

    Parameters
    ----------
    folder : is made
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._results = (folder / "results.jsonl").open("w", encoding="utf-8")
        self._summary = (folder / "summary.txt").open("w", encoding="utf-8")
        self._start = time.monotonic()
        self.differing: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []

    def result(self, phase: str, name: str, **figures: Any) -> None:
        """A measurement."""
        self._write({"phase": phase, "name": name, "status": "ok", **figures})

    def compared(self, phase: str, name: str, holds: bool, **figures: Any) -> None:
        """A comparison, which holds within its tolerance or not."""
        if not holds:
            self.differing.append(name)
        self._write({"phase": phase, "name": name, "status": "ok" if holds else "DIFFERS", **figures})

    def skip(self, phase: str, name: str, why: str) -> None:
        """Something that cannot be done here, and why."""
        self.skipped.append(name)
        self._write({"phase": phase, "name": name, "status": "skipped", "why": why})

    def fail(self, phase: str, name: str, error: BaseException) -> None:
        """Something that broke; the rest goes on."""
        self.failed.append(name)
        where = traceback.format_exception(error)[-3:]
        self._write({"phase": phase, "name": name, "status": "FAILED", "why": f"{type(error).__name__}: {error}"})
        self._line("".join(where).rstrip())

    def text(self, lines: str) -> None:
        """Something to read, in the summary alone."""
        self._line(lines)

    def close(self) -> int:
        """Say what came out; the exit status, 0 where every path that was compared holds and nothing broke."""
        self._line(f"\n{time.monotonic() - self._start:.0f} seconds; {len(self.skipped)} skipped")
        self._line(f"differ beyond tolerance: {', '.join(self.differing) or 'none'}")
        self._line(f"failed: {', '.join(self.failed) or 'none'}")
        self._results.close()
        self._summary.close()
        return 1 if self.differing or self.failed else 0

    def _write(self, row: dict[str, Any]) -> None:
        row = {"seconds": round(time.monotonic() - self._start, 2), **row}
        self._results.write(json.dumps(row, default=str) + "\n")
        self._results.flush()
        shown = {key: value for key, value in row.items() if key not in ("seconds", "phase", "name", "status")}
        figures = "  ".join(f"{key} {_shown(value)}" for key, value in shown.items())
        mark = "" if row["status"] == "ok" else f"{row['status']}  "
        self._line(f"{row['seconds']:7.1f}  {row['phase']:10s} {row['name']:44s} {mark}{figures}")

    def _line(self, text: str) -> None:
        print(text, flush=True)
        self._summary.write(text + "\n")
        self._summary.flush()


class Clock:
    """How much of a phase is left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


Step = tuple[str, Callable[[], None]]


def run_phase(report: Report, phase: str, seconds: float, steps: Callable[[Clock], Iterator[Step]]) -> None:
    """Run the steps of a phase, one by one, while there is time; the first one in any case.

    Parameters
    ----------
    report : receives what fails and what there was no time for; steps report what they find themselves
    phase : its name
    seconds : it may take
    steps : names them and does them
    """
    report.text(f"\n{phase}: at most {seconds:.0f} seconds")
    clock, most = Clock(seconds), seconds + max(LEAST_GRACE, GRACE * seconds)
    try:
        with _ended_after(most):
            for number, (name, step) in enumerate(steps(clock)):
                if number > 0 and clock.left <= 0:
                    report.skip(phase, name, "no time left in this phase")
                    continue
                try:
                    step()
                except Exception as error:  # noqa: BLE001 - whatever breaks one step, the others are worth their time
                    report.fail(phase, name, error)
    except TimeUpError:
        report.skip(phase, "the rest", f"the phase was ended after {most:.0f} seconds")
    except Exception as error:  # noqa: BLE001 - as above, of a phase
        report.fail(phase, phase, error)


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    def end(*_: object) -> None:
        raise TimeUpError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
