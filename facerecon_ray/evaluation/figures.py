"""From rows to figures: one number for each data set, model, group of rows and metric."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from scipy import stats

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.evaluation.rows import LANDMARKS, OK, UNUSABLE
from facerecon_ray.networks.face_descriptor import SAME_PERSON

ALL = "all"


@dataclass(frozen=True)
class Metric:
    """One kind of number.

    label   in tables
    better  lower or higher
    unit    how it is shown: percent, mm or number
    meaning one sentence
    """

    label: str
    better: Literal["lower", "higher"]
    unit: Literal["percent", "mm", "number"]
    meaning: str


METRICS = {
    "nme": Metric(
        "NME",
        "lower",
        "percent",
        "Mean distance of the mesh's vertices to the scan after ICP, divided by the mesh's size (the square root of "
        "width times height of its bounding box seen from the front), averaged over meshes.",
    ),
    "nme_with_failures": Metric(
        "NME with failures",
        "lower",
        "percent",
        "The same with every failed reconstruction counted at the stated penalty, so that failing does not pay.",
    ),
    "share_reconstructed": Metric(
        "reconstructed", "higher", "percent", "Share of the usable pictures that gave a mesh (or landmarks)."
    ),
    "nme_median": Metric("median", "lower", "percent", "Median over the mesh's vertices, averaged over meshes."),
    "nme_p90": Metric("90th percentile", "lower", "percent", "90th percentile over vertices, averaged over meshes."),
    "mm": Metric(
        "millimetres", "lower", "mm", "Mean distance within 95 mm of the nose tip, after scale alignment by ICP."
    ),
    "nme_corresponding": Metric(
        "NME without ICP",
        "lower",
        "percent",
        "Where it is known which point is which: mean distance of corresponding points after the best similarity "
        "transform, over the mesh's size. ICP slides a mesh to where it fits; this does not.",
    ),
    "landmarks_3d": Metric(
        "landmarks after ICP",
        "lower",
        "percent",
        "Mean distance of the 51 inner landmarks on the aligned mesh to those on the scan, over their box size: it "
        "shows where ICP slid a mesh to a place where it does not belong. Beyond 25 % the mesh counts as no face, "
        "because ICP lays any flat patch neatly onto a cheek.",
    ),
    "landmark_nme": Metric(
        "landmarks",
        "lower",
        "percent",
        "Mean distance of the 68 landmarks in the picture over the box size of the true ones (the square root of "
        "width times height): the mean of the yaw bins that have faces.",
    ),
    "landmark_nme_with_failures": Metric(
        "landmarks with failures", "lower", "percent", "The same with failures counted at the stated penalty."
    ),
    "recognition": Metric(
        "recognition",
        "higher",
        "number",
        "Cosine between face recognition's descriptors of the photo and of the mesh, drawn from the front.",
    ),
    "recognised": Metric(
        "recognised",
        "higher",
        "percent",
        "Share of the meshes that are taken for the photo's person (distance < 0.6).",
    ),
    "pose_error": Metric("pose", "lower", "number", "Degrees between the fitted and the true pose."),
}

YAW_BINS = ((0.0, 30.0), (30.0, 60.0), (60.0, 90.0))
AGE_LIMITS = (0.0, 18.0, 35.0, 60.0, 200.0)
NEAR = 1.0
"""Metres from the camera below which perspective shows in a face."""
ANCESTRIES = ("african", "asian", "caucasian")
PREDICTORS = {
    "fit_error": "fit error: how far the fitted landmarks are from the found ones",
    "visible_share": "share of the rotated face that the photo saw",
    "estimated_yaw": "size of the estimated yaw",
    "detection_score": "detection score",
    "quality": "the manifest's quality",
}


@dataclass(frozen=True)
class Figure:
    """One number; `count` rows are behind it."""

    data: str
    model: str
    group: str
    metric: str
    value: float
    count: int


def figures_of(rows: Iterable[dict[str, Any]], protocol: ProtocolSettings) -> list[Figure]:
    """All figures of a run's rows.

    Parameters
    ----------
    rows : of ROW_SCHEMA
    protocol : says what failures count as
    """
    members: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["status"] != UNUSABLE:
            for group in groups_of(row):
                members[row["data"], row["model"], group].append(row)
    return [
        Figure(data, model, group, metric, value, count)
        for (data, model, group), some in members.items()
        for metric, value, count in _metrics(some, protocol, data)
    ]


def groups_of(row: dict[str, Any]) -> list[str]:
    """Groups to which a row belongs: all, its pose, the subject's attributes, the camera's distance."""
    groups = [ALL]
    if row["yaw"] is not None:
        groups += [name for name, inside in _yaw_bins(row["yaw"]) if inside]
    if row["yaw"] is not None and row["data"] != LANDMARKS:
        groups += [f"yaw {row['yaw']:+g}", f"pitch {row['pitch']:+g}"]
    if row.get("gender") is not None:
        groups.append("gender female" if row["gender"] >= 0.5 else "gender male")
    if row.get("age") is not None:
        low, high = next((a, b) for a, b in pairwise(AGE_LIMITS) if row["age"] < b)
        groups.append(f"age {low:g}-{high:g}" if high < AGE_LIMITS[-1] else f"age {low:g} and over")
    shares = {name: row.get(name) for name in ANCESTRIES}
    if all(share is not None for share in shares.values()):
        main = max(shares, key=lambda name: shares[name] or 0.0)
        groups.append(f"ancestry {main}" if (shares[main] or 0.0) > 0.5 else "ancestry mixed")
    for look, without in (("expression", "neutral"), ("beard", "none")):
        if row.get(look) is not None:
            groups.append(f"{look} {without if row[look] == without else 'any'}")
    if row.get("distance") is not None:
        groups.append(f"distance {'below' if row['distance'] < NEAR else 'from'} {NEAR:g} m")
    return groups


def predictions(rows: Iterable[dict[str, Any]], error: str) -> list[dict[str, Any]]:
    """How well each of the rotation's own measures predicts an error: Spearman's rank correlation.

    Parameters
    ----------
    rows : of ROW_SCHEMA
    error : column

    Returns
    -------
    data, model, measure, correlation, count; the correlation is -1 to 1, 0 when a measure says nothing
    """
    members: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["status"] == OK and row.get(error) is not None and row.get("fit_error") is not None:
            members[row["data"], row["model"]].append(row)
    found = []
    for (data, model), some in members.items():
        errors = np.array([row[error] for row in some])
        for measure in PREDICTORS:
            if any(row.get(measure) is None for row in some):
                continue
            values = np.array([abs(float(row[measure])) for row in some])
            if len(some) > 2 and np.ptp(values) > 0 and np.ptp(errors) > 0:
                correlation = float(stats.spearmanr(values, errors).statistic)
                found.append(
                    {"data": data, "model": model, "measure": measure, "correlation": correlation, "count": len(some)}
                )
    return found


def _yaw_bins(yaw: float) -> list[tuple[str, bool]]:
    """A border belongs to the lower bin, as in the code of the AFLW2000-3D protocol."""
    size = abs(yaw)
    return [(f"|yaw| {low:g}-{high:g}", (low < size or low == 0.0) and size <= high) for low, high in YAW_BINS]


def _metrics(rows: list[dict[str, Any]], protocol: ProtocolSettings, data: str) -> list[tuple[str, float, int]]:
    ok = [row for row in rows if row["status"] == OK]
    found = [("share_reconstructed", len(ok) / len(rows), len(rows))]
    failures = len(rows) - len(ok)
    for metric in (
        "nme",
        "nme_median",
        "nme_p90",
        "mm",
        "nme_corresponding",
        "landmarks_3d",
        "recognition",
        "pose_error",
    ):
        values = [row[metric] for row in ok if row.get(metric) is not None]
        if values:
            found.append((metric, float(np.mean(values)), len(values)))
        if metric == "nme" and (values or (failures and data != LANDMARKS)):
            found.append(("nme_with_failures", float(np.mean([*values, *[protocol.penalty] * failures])), len(rows)))
    distances = [row["recognition_distance"] for row in ok if row.get("recognition_distance") is not None]
    if distances:
        found.append(("recognised", float(np.mean(np.array(distances) < SAME_PERSON)), len(distances)))
    return found + _landmark_metrics(rows, protocol.landmark_penalty, data)


def _landmark_metrics(rows: list[dict[str, Any]], penalty: float, data: str) -> list[tuple[str, float, int]]:
    """Means of the yaw bins' means, without and with failures."""
    known = [row for row in rows if row.get("landmark_nme") is not None]
    if not known and data != LANDMARKS:
        return []
    in_bins = [
        [row for row in rows if row["yaw"] is not None and _yaw_bins(row["yaw"])[index][1]]
        for index in range(len(YAW_BINS))
    ]
    found = []
    means = [
        float(np.mean(values))
        for some in in_bins
        if (values := [row["landmark_nme"] for row in some if row.get("landmark_nme") is not None])
    ]
    if means:
        found.append(("landmark_nme", float(np.mean(means)), len(known)))
    punished = [float(np.mean([_or(row.get("landmark_nme"), penalty) for row in some])) for some in in_bins if some]
    if punished:
        found.append(("landmark_nme_with_failures", float(np.mean(punished)), len(rows)))
    return found


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
