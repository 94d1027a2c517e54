"""Finding things in manifests: rows that meet conditions, kinds of failures, and runs beside each other."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError
from facerecon_ray.storage.manifest import FAULTS, FORGOTTEN, Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.row_filter import FLAT_COLUMNS, RowFilter, flatten

RUN = "run"
STATUSES = ("ok", "no_face", *FAULTS, FORGOTTEN)

_JOINED = ("status", "error", "pose", "fit_error", "quality", "mesh_uri")
_KEYS = ["photo_uri", "face_index"]
_NO_FACE_INDEX = -1
_EXAMPLES = 3
_MOST_REASONS = 10_000
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|/[^\s:;,]+|s3://[^\s:;,]+")
_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True)
class Conditions:
    """Which rows are wanted; all conditions must be met.

    status         one of these, or any when empty
    yaw_over       faces turned by more degrees to either side
    quality_under  faces with less quality
    photo          photos whose URI contains this text
    where          what else is to be true of a row
    """

    status: tuple[str, ...] = ()
    yaw_over: float | None = None
    quality_under: float | None = None
    photo: str = ""
    where: RowFilter | None = None

    @property
    def any(self) -> bool:
        """Whether there is any condition."""
        return self != Conditions()

    def select(self, table: pa.Table) -> pa.Table:
        """Rows that meet them; a row without a value does not meet a condition on it."""
        masks = []
        if self.status:
            masks.append(pc.is_in(table["status"], pa.array(self.status)))
        if self.yaw_over is not None:
            masks.append(pc.greater(pc.abs(pc.struct_field(table["pose"], "yaw")), self.yaw_over))
        if self.quality_under is not None:
            masks.append(pc.less(table["quality"], self.quality_under))
        if self.photo:
            masks.append(pc.match_substring(table["photo_uri"], self.photo))
        table = table.filter(reduce(pc.and_kleene, masks)) if masks else table
        return self.where.select(table) if self.where else table


@dataclass
class FailureKind:
    """Rows that failed for the same reason.

    reason    the error with numbers and names left out
    examples  (photo_uri, error) of the first few
    """

    status: str
    reason: str
    rows: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


def open_manifests(outputs: Sequence[str], settings: S3Settings | None = None) -> list[Manifest]:
    """Manifests of runs' outputs.

    Raises
    ------
    InputError
        when an output has none
    """
    manifests = []
    for output in outputs:
        manifest = Manifest(OutputFolder(output, settings))
        if not manifest.parts():
            raise InputError(f"{output}: there is no manifest; name the output of `facerecon reconstruct`")
        manifests.append(manifest)
    return manifests


def select_rows(
    manifests: Sequence[Manifest], runs: Sequence[str], conditions: Conditions, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Rows of several runs that meet conditions, one below the other, part by part.

    With more than one run there is a first column `run`, the name of the row's run.

    Parameters
    ----------
    manifests, runs : the runs and their names
    conditions : which rows
    columns : which columns, by default all
    """
    for manifest, run in zip(manifests, runs, strict=True):
        for part in manifest.tables(None if columns is None else [*dict.fromkeys([*columns, *_needed(conditions)])]):
            table = conditions.select(part)
            table = table if columns is None else table.select(columns)
            if len(runs) > 1:
                table = table.add_column(0, RUN, pa.array([run] * len(table), pa.string()))
            yield table


def join_runs(manifests: Sequence[Manifest], conditions: Conditions) -> pa.Table:
    """Faces of several runs side by side: photo_uri, face_index, and status_1, yaw_1, ... status_2, ... of each run.

    A face or photo that a run does not have has nulls there. A row is wanted when one of its runs is wanted.
    """
    sides = []
    for number, manifest in enumerate(manifests, 1):
        table = pa.concat_tables(manifest.tables([*dict.fromkeys([*_KEYS, *_JOINED, *_needed(conditions)])]))
        wanted = conditions.select(table).select(_KEYS)
        table = flatten(table.select([*_KEYS, *_JOINED]))
        table = table.rename_columns([name if name in _KEYS else f"{name}_{number}" for name in table.column_names])
        sides.append((_with_index(table), _with_index(wanted)))
    joined = reduce(lambda left, right: left.join(right, _KEYS, join_type="full outer"), [side for side, _ in sides])
    wanted = pa.concat_tables([keys for _, keys in sides]).group_by(_KEYS).aggregate([])
    joined = joined.join(wanted, _KEYS, join_type="left semi").sort_by([(name, "ascending") for name in _KEYS])
    index = joined["face_index"]
    index = pc.if_else(pc.equal(index, _NO_FACE_INDEX), pa.scalar(None, index.type), index)
    return joined.set_column(joined.schema.get_field_index("face_index"), "face_index", index)


def failure_kinds(manifests: Sequence[Manifest]) -> list[FailureKind]:
    """Failed and unreadable rows by reason, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for manifest in manifests:
        for table in manifest.tables(["photo_uri", "status", "error"]):
            for row in Conditions(status=FAULTS).select(table).to_pylist():
                kind = (row["status"], reason_of(row["error"] or ""))
                if kind not in counts and len(counts) >= _MOST_REASONS:
                    kind = (row["status"], "other reasons")
                counts[kind] += 1
                if len(examples[kind]) < _EXAMPLES:
                    examples[kind].append((row["photo_uri"], row["error"] or ""))
    return [FailureKind(*kind, rows, examples[kind]) for kind, rows in counts.most_common()]


def reason_of(error: str) -> str:
    """An error without what differs from photo to photo: numbers, quoted names and paths."""
    return _NUMBER.sub("N", _QUOTED.sub("…", error)) or "no reason given"


def _needed(conditions: Conditions) -> list[str]:
    names = {"status": bool(conditions.status), "pose": conditions.yaw_over is not None}
    names |= {"quality": conditions.quality_under is not None, "photo_uri": bool(conditions.photo)}
    asked = [name for name, is_needed in names.items() if is_needed]
    return [*asked, *(FLAT_COLUMNS if conditions.where else ())]


def _with_index(table: pa.Table) -> pa.Table:
    """Photos without a face get an index of their own: nulls are equal to nothing, not even to nulls."""
    position = table.schema.get_field_index("face_index")
    return table.set_column(position, "face_index", pc.fill_null(table["face_index"], _NO_FACE_INDEX))
