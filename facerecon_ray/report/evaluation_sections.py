"""What the parts of the evaluation's report show."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from facerecon_ray.report.evaluation_charts import bar_chart, line_chart, trend_chart
from facerecon_ray.report.evaluation_figures import FigureTable

DATA_NAMES = {
    "embedded": "Embedded subjects",
    "foreign": "Foreign heads",
    "scans": "Scans",
    "landmarks": "Photos with known landmarks",
}
DATA_MEANINGS = {
    "embedded": "Synthetic heads that no training ever sees. Each is photographed from every pose, reconstructed, and "
    "compared with the true head. Because the heads share the face model's topology, it is also known which point is "
    "which, and an error that does without ICP can be given.",
    "foreign": "People of a model of scans, on a mesh that is not the face model's, each with and without an "
    "expression. They were photographed once from every pose, half a metre to two metres away; each picture is "
    "reconstructed, laid onto the true surface by ICP, and compared with it.",
    "scans": "Laser scans of real heads. Each is first turned to look straight ahead, then drawn from every pose, "
    "reconstructed, laid onto the scan by ICP, and compared with it.",
    "landmarks": "Photos whose 68 landmarks are known; the reconstructed ones are compared with them in the picture.",
}
TABLE_METRICS = (
    "nme",
    "nme_with_failures",
    "share_reconstructed",
    "nme_median",
    "nme_p90",
    "mm",
    "nme_corresponding",
    "landmarks_3d",
    "landmark_nme",
    "landmark_nme_with_failures",
    "recognition",
    "recognised",
)
ATTRIBUTE_GROUPS = ("gender", "age", "ancestry", "expression", "beard", "distance")
STRONG, WEAK = 0.5, 0.2

FLOOR_MODEL, AS_GOOD = "mean-face", 1.01
"""The model that knows nothing of the person, and up to which factor of the best one's error it counts as good."""

MOST_PROBLEMS = 40


def in_words(table: FigureTable) -> list[tuple[str, list[tuple[str, str, str]], list[str]]]:
    """The result in a sentence or two: of each data set the best values, a label, a value and a model each, and the
    labels by which the average face is as good."""
    return [(data, *_best_in_words(table, data)) for data in table.data_sets]


def _best_in_words(table: FigureTable, data: str) -> tuple[list[tuple[str, str, str]], list[str]]:
    parts: list[tuple[str, str, str]] = []
    floor: list[str] = []
    for metric in ("nme", "nme_corresponding", "landmark_nme"):
        best = table.best(data, metric)
        if best is None or (metric == "landmark_nme" and parts):
            continue
        model = next(name for name in table.models if table.value(data, name, metric) == best)
        label = table.metrics[metric]["label"]
        parts.append((label, table.written(metric, best), model))
        mean_face = table.value(data, FLOOR_MODEL, metric)
        if len(table.models) > 1 and mean_face is not None and mean_face <= best * AS_GOOD:
            floor.append(label)
    return parts, floor


def metrics_of(table: FigureTable, data: str) -> list[str]:
    """Columns of a data set's table."""
    return [metric for metric in TABLE_METRICS if table.has(data, metric)]


def metrics_shown(table: FigureTable) -> list[dict[str, Any]]:
    """All metrics of the tables, each once."""
    shown = {metric for data in table.data_sets for metric in metrics_of(table, data)}
    return [table.metrics[metric] for metric in TABLE_METRICS if metric in shown]


def predicted(summary: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, float]]:
    """Correlation of each measure of the rotation with an error, by data set, model and error."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in summary["predictors"]["correlations"]:
        found.setdefault((row["data"], row["model"], row["error"]), {})[row["measure"]] = row["correlation"]
    return found


def trend(summary: dict[str, Any]) -> list[str]:
    """Charts of the runs so far on the same data with the same protocol."""
    charts = []
    for metric in dict.fromkeys(point["metric"] for point in summary["trend"]):
        for data in dict.fromkeys(point["data"] for point in summary["trend"] if point["metric"] == metric):
            some = [point for point in summary["trend"] if point["metric"] == metric and point["data"] == data]
            if len({point["time"] for point in some}) < 2:
                continue
            percent = summary["metrics"][metric]["unit"] == "percent"
            series = [
                (
                    model,
                    [datetime.fromisoformat(point["time"]) for point in some if point["model"] == model],
                    [point["value"] * (100 if percent else 1) for point in some if point["model"] == model],
                )
                for model in dict.fromkeys(point["model"] for point in some)
            ]
            label = summary["metrics"][metric]["label"]
            title = f"{label} of earlier runs: {DATA_NAMES[data].lower()}"
            charts.append(trend_chart(title, f"{label}, %" if percent else label, series))
    return charts


def pose_charts(table: FigureTable, data: str) -> Iterator[tuple[str, str]]:
    """A data set's charts over the pose, and their captions."""
    for metric, start, title, label, caption in (
        ("nme", "yaw ", "Mean NME by yaw", "yaw of the head, degrees", "Mean over all subjects and pitches."),
        ("nme_corresponding", "yaw ", "Mean NME without ICP by yaw", "yaw of the head, degrees",
         "ICP can hide an error by sliding the mesh to where it fits; with known correspondence nothing slides."),
        ("landmark_nme", "yaw ", "Landmark error by yaw", "yaw of the head, degrees",
         "Where the landmarks are lost, pose and shape are, too."),
        ("nme", "pitch ", "Mean NME by pitch", "pitch of the head, degrees", "Mean over all subjects and yaws."),
    ):  # fmt: skip
        series, ticks = table.by_angle(data, metric, start)
        if len(ticks) < 2 or not table.has(data, metric):
            continue
        drawn = line_chart(title, label, f"{table.metrics[metric]['label']}, %", series, ticks)
        yield drawn, caption


def attribute_charts(table: FigureTable, data: str) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """A chart by who the subjects are, where that is known, with the pictures of each group."""
    groups = [group for start in ATTRIBUTE_GROUPS for group in table.groups(data, f"{start} ")]
    if len(groups) < 2:
        return
    metric = "nme_corresponding" if table.has(data, "nme_corresponding") else "nme"
    series = [
        (model, [100 * (table.value(data, model, metric, group) or float("nan")) for group in groups])
        for model in table.models
    ]
    label = table.metrics[metric]["label"]
    drawn = bar_chart(f"Mean {label} by who the subjects are", f"{label}, %", groups, series)
    counts = [
        (group, max(table.count(data, model, "share_reconstructed", group) for model in table.models))
        for group in groups
    ]
    yield drawn, counts


def rotation_measures(outlier: dict[str, Any]) -> list[str]:
    """What the rotation said of an outlier."""
    names = {"fit_error": "fit error", "visible_share": "seen by the photo", "detection_score": "detection score"}
    parts = []
    for key, name in names.items():
        value = outlier.get(key)
        if value is not None:
            parts.append(f"{name} {value * 100:.1f} %" if key != "detection_score" else f"{name} {value:.2f}")
    if outlier.get("estimated_yaw") is not None:
        parts.append(f"estimated yaw {outlier['estimated_yaw']:+.0f}°, turned to {outlier['rotated_yaw']:+.0f}°")
    return parts
