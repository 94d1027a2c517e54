"""Heads from several of their pictures: how the error falls with the number of views and with how far they spread."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from facerecon_ray.evaluation.picture_crops import was_found
from facerecon_ray.evaluation.rows import NOT_RECONSTRUCTED, OK
from facerecon_ray.evaluation.scan_evaluation import PreparedScan, ScanEvaluator, Views
from facerecon_ray.geometry.person_merging import merge_photos
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.stages.stage import Batch, select

Angles = tuple[float, float]
"""Yaw and pitch of a picture, degrees."""

MEASURES = ("nme", "mm", "nme_corresponding")

MANY_PHOTOS_SCHEMA = pa.schema(
    [
        pa.field("data", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("photos", pa.int32(), nullable=False),  # pictures that were given
        pa.field("within", pa.float32()),  # degrees of yaw to both sides, in which they lie
        pa.field("merged", pa.int32()),  # of them, those with a face that was merged
        pa.field("status", pa.string(), nullable=False),  # ok, not_reconstructed
        pa.field("error", pa.string()),  # one sentence
        *(pa.field(name, pa.float32()) for name in MEASURES),  # as in ROW_SCHEMA
    ]
)


@dataclass(frozen=True)
class SomeViews:
    """Numbers of some pictures, all with at most so much yaw."""

    within: float
    chosen: tuple[int, ...]


def spread_views(angles: Sequence[Angles], counts: Collection[int]) -> list[SomeViews]:
    """Which pictures are taken together: of those within each yaw, the first that looks straight ahead, and each
    following one as far from those before it as can be."""
    found: dict[tuple[int, ...], SomeViews] = {}
    for within in sorted({abs(yaw) for yaw, _ in angles}):
        order = _farthest_first([number for number, (yaw, _) in enumerate(angles) if abs(yaw) <= within], angles)
        for count in sorted(set(counts)):
            if count <= len(order):
                some = SomeViews(within, tuple(order[:count]))
                found.setdefault(some.chosen, some)
    return list(found.values())


def _farthest_first(numbers: list[int], angles: Sequence[Angles]) -> list[int]:
    places = np.array([angles[number] for number in numbers])
    order = [int(np.abs(places).sum(1).argmin())]
    apart = np.linalg.norm(places - places[order[0]], axis=1)
    while len(order) < len(numbers):
        order.append(int(apart.argmax()))
        apart = np.minimum(apart, np.linalg.norm(places - places[order[-1]], axis=1))
    return [numbers[place] for place in order]


def person_rows(
    evaluator: ScanEvaluator, prepared: PreparedScan, angles: Sequence[Angles], counts: Collection[int]
) -> list[dict[str, Any]]:
    """Score a head as several of its pictures show it together.

    The shape is the merged one, `geometry.person_merging`; the expression, which all pictures of a head share, the
    mean of theirs.

    Parameters
    ----------
    evaluator : made for people
    prepared : the head
    angles : of all pictures there are
    counts : numbers of pictures to merge
    """
    views = Views(evaluator, prepared, list(angles))
    rows = []
    for some in spread_views(angles, counts):
        index = np.array(some.chosen)[was_found(views.faces)[list(some.chosen)]]
        row = {"data": prepared.data, "item": prepared.name, "photos": len(some.chosen), "within": some.within}
        if not len(index):
            rows.append(row | {"merged": 0, "status": NOT_RECONSTRUCTED, "error": "no face was found in any"})
            continue
        shape, expression, merged = _together(select(views.faces, index))
        model = evaluator.face_model
        scores = views.scores(model.vertices(shape, expression)[0, model.face_vertices].numpy())
        kept = {name: value for name, value in scores.items() if name in MANY_PHOTOS_SCHEMA.names}
        rows.append(row | {"merged": merged} | kept)
    return rows


def _together(faces: Batch) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(1, S) shape and (1, E) expression of faces of one head, and of how many."""
    evidence = ShapeEvidence.stored(faces["shape"], faces["shape_information"])
    merged = merge_photos(evidence, torch.from_numpy(faces["quality"]))
    expression = torch.from_numpy(faces["expression"])[merged.used].mean(0, keepdim=True)
    return merged.shape[None], expression, int(merged.used.sum())


def many_photos_figures(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean of each measure over heads, by data set, number of pictures and yaw within which they lie."""
    good = sorted((row for row in rows if row["status"] == OK), key=_group)
    figures = []
    for (data, photos, within), some in groupby(good, _group):
        of_group = list(some)
        for name in MEASURES:
            values = [row[name] for row in of_group if row.get(name) is not None]
            if values:
                figure = {"data": data, "photos": photos, "within": within, "metric": name}
                figures.append(figure | {"value": float(np.mean(values)), "count": len(values)})
    return figures


def _group(row: dict[str, Any]) -> tuple[str, int, float]:
    return row["data"], row["photos"], row["within"]
