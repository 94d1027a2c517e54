"""What a stage is: rows in, the same rows with more columns out, and never an exception for one bad row.

A batch is a dict of NumPy arrays of equal length. A row whose `status` is not "ok" passes through untouched: its new
columns are filled with zeros of the declared shape.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.schema import time_column

Batch = dict[str, np.ndarray]

OK, NO_FACE, UNREADABLE, FAILED = "ok", "no_face", "unreadable", "failed"

REASON = "reason"
"""Column in which `process` says, a row, why the row has failed; empty where it has not."""


ROWS_AT_ONCE_ON_CPU = 4
"""Of faces, whose pictures fill a CPU's caches: more at once only take their memory."""


@dataclass(frozen=True)
class Column:
    """Shape and type of one row of a column; rows of text and files are objects of the types str and bytes."""

    dtype: Any
    shape: tuple[int, ...] = ()

    def empty(self, rows: int) -> np.ndarray:
        """(rows, *shape) zeros; empty strings for text (str), empty bytes for files (bytes)."""
        if self.dtype in (str, bytes):
            return np.full(rows, self.dtype(), dtype=object)
        return np.zeros((rows, *self.shape), self.dtype)


class Stage:
    """Base of the stages that keep the number of rows: subclasses declare `outputs` and implement `process`.

    Of its outputs, those that it refines are columns that are there before; rows that it does not process keep them.

    rows_at_once   so many rows are processed together at most; None: all of a batch
    """

    name: ClassVar[str]
    rows_at_once: int | None = None
    outputs: dict[str, Column]
    drops: ClassVar[tuple[str, ...]] = ()
    refines: ClassVar[tuple[str, ...]] = ()

    def process(self, batch: Batch) -> Batch:
        """Compute the columns of `outputs` for rows that are all ok.

        A stage that finds a row unfit may add the column REASON, (B,) text: such a row fails with it, as one sentence,
        and its new columns stay empty.
        """
        raise NotImplementedError

    def __call__(self, batch: Batch) -> Batch:
        """Run `process` on the rows that are ok; a batch that raises is run again row by row to find the culprit."""
        rows = len(batch["status"])
        ok = np.flatnonzero(batch["status"] == OK)
        result = {
            name: batch[name].copy() if name in self.refines else column.empty(rows)
            for name, column in self.outputs.items()
        }
        status, error = batch["status"].copy(), batch["error"].copy()
        milliseconds = np.zeros(rows, np.float32)
        some = self.rows_at_once or max(len(ok), 1)
        parts = [ok[start : start + some] for start in range(0, len(ok), some)]
        for index, outcome, seconds in chain.from_iterable(attempt(self.process, batch, part) for part in parts):
            milliseconds[index] = seconds * 1000 / len(index)
            if isinstance(outcome, Exception):
                status[index], error[index] = FAILED, describe_failure(self.name, outcome)
                continue
            reasons = outcome.get(REASON, np.full(len(index), "", object))
            good = reasons == ""
            status[index[~good]], error[index[~good]] = FAILED, reasons[~good]
            for name in self.outputs:
                result[name][index[good]] = outcome[name][good]
        kept = {name: values for name, values in batch.items() if name not in self.drops}
        return {**kept, **result, "status": status, "error": error, time_column(self.name): milliseconds}


def select(batch: Batch, index: np.ndarray) -> Batch:
    """Rows of a batch."""
    return {name: values[index] for name, values in batch.items()}


def attempt(
    process: Callable[[Batch], Batch], batch: Batch, rows: np.ndarray
) -> list[tuple[np.ndarray, Batch | Exception, float]]:
    """Process rows together, and one by one when together they raise: (rows, result or exception, seconds) each."""
    if len(rows) == 0:
        return []
    start = time.perf_counter()
    try:
        return [(rows, process(select(batch, rows)), time.perf_counter() - start)]
    except Exception as error:  # noqa: BLE001 - whatever one photo does to a stage becomes that photo's row
        if len(rows) == 1:
            return [(rows, error, time.perf_counter() - start)]
    return [outcome for row in rows for outcome in attempt(process, batch, np.array([row]))]


def describe_failure(stage: str, error: Exception) -> str:
    """One sentence for the manifest; never pixels or array contents."""
    if isinstance(error, PhotoError):
        return str(error)
    text = str(error).splitlines()[0][:200] if str(error) else "no message"
    return f"{stage} stage failed: {type(error).__name__}: {text}"
