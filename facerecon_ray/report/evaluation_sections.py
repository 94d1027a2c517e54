"""The parts of the evaluation's report, each a function from the summary to HTML."""

import html
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


def in_words(table: FigureTable) -> str:
    """The result in a sentence or two for each data set."""
    return "".join(f"<p>{DATA_NAMES[data]}: {_best_in_words(table, data)}</p>" for data in table.data_sets)


def _best_in_words(table: FigureTable, data: str) -> str:
    parts: list[str] = []
    floor: list[str] = []
    for metric in ("nme", "nme_corresponding", "landmark_nme"):
        best = table.best(data, metric)
        if best is None or (metric == "landmark_nme" and parts):
            continue
        model = next(name for name in table.models if table.value(data, name, metric) == best)
        label = table.metrics[metric]["label"]
        parts.append(f"{label} <b>{table.written(metric, best)}</b> (best model: {html.escape(model)})")
        mean_face = table.value(data, FLOOR_MODEL, metric)
        if len(table.models) > 1 and mean_face is not None and mean_face <= best * AS_GOOD:
            floor.append(label)
    if not parts:
        return "nothing was reconstructed."
    text = ", ".join(parts) + " of the face's size."
    if floor:
        text += (
            f" By {' and '.join(floor)} the average face, which knows nothing of the person, is as good as any model "
            "here: averaged over all poses, the models add nothing to it."
        )
    return text


def gates(summary: dict[str, Any]) -> str:
    """The gates, the failed ones first."""
    if not summary["gates"]:
        return ""
    rows = "".join(
        f'<tr><td class="{"passed" if gate["passed"] else "failed"}">{"passed" if gate["passed"] else "failed"}</td>'
        f"<th>{html.escape(gate['metric'])}</th><td>{html.escape(gate['model'] or '')}</td>"
        f"<td>{html.escape(gate['data'] or '')}</td><td>{html.escape(gate['group'])}</td>"
        f'<td class="number">{"–" if gate["value"] is None else format(gate["value"], ".4g")}</td>'
        f"<td>{html.escape(gate['limit'])}<small>{html.escape(gate['note'])}</small></td></tr>"
        for gate in sorted(summary["gates"], key=lambda gate: gate["passed"])
    )
    head = (
        "<th></th><th>metric</th><th>model</th><th>data</th><th>group</th><th class='number'>value</th><th>limit</th>"
    )
    return f"<h2>Gates</h2>{_table(head, rows)}"


def data_set(summary: dict[str, Any], table: FigureTable, data: str) -> str:
    """One data set: the table of its models, and the charts."""
    count = summary["counts"][data]
    metrics = [metric for metric in TABLE_METRICS if table.has(data, metric)]
    head = "<th>model</th>" + "".join(
        f'<th class="number">{html.escape(table.metrics[metric]["label"])}</th>' for metric in metrics
    )
    rows = "".join(
        f"<tr><th>{html.escape(model)}</th>{''.join(_cell(table, data, model, metric) for metric in metrics)}</tr>"
        for model in table.models
    )
    unusable = f", {count['unusable']} more could not be used" if count["unusable"] else ""
    used = count["items"] - count["unusable"]
    kind = "photos" if data == "landmarks" else "heads"
    pictures = "" if data == "landmarks" else f", {count['pictures']:,} pictures"
    penalties = summary["penalties"]
    return f"""<h2>{DATA_NAMES[data]}</h2>
<p>{DATA_MEANINGS[data]}</p>
<p class="note">{used:,} {kind}{pictures}{unusable}. In the columns with failures, a picture that gave nothing counts
as {penalties["nme"] * 100:g} % (landmarks: {penalties["landmark_nme"] * 100:g} %). Bold is best; lower is better for
errors. What the columns mean is explained below.</p>
{_table(head, rows)}
<div class="charts">{"".join(_pose_charts(table, data))}</div>
{_landmark_bins(table, data)}
{_attributes(table, data)}"""


def outliers(summary: dict[str, Any]) -> str:
    """The worst reconstructions with pictures."""
    if not summary["outliers"]:
        return ""
    tiles = "".join(f"<span>{name}</span>" for name in ("photo", "rotated view", "truth", "mesh", "error"))
    cards = "".join(
        f"""<figure><img alt="" src="data:image/jpeg;base64,{outlier["picture"]}">
<div class="tiles">{tiles}</div>
<figcaption><b>{html.escape(outlier["item"])}</b>, yaw {outlier["yaw"]:+g}°, pitch {outlier["pitch"]:+g}°,
{html.escape(outlier["model"])}: <b>NME {outlier["nme"] * 100:.2f} %</b>{_rotation_measures(outlier)}</figcaption>
</figure>"""
        for outlier in summary["outliers"]
    )
    return f"""<h2>Worst reconstructions</h2>
<p>At most two of one subject. The rotated view is what the system made of the photo as its second view; a bad one
mostly comes from landmarks that were found in the wrong places. Dark red is an error of 5 % of the face's size and
more.</p>
<div class="outliers">{cards}</div>"""


def predictors(summary: dict[str, Any]) -> str:
    """How well the rotation's own measures predict the errors."""
    found = summary["predictors"]["correlations"]
    if not found:
        return ""
    measures = summary["predictors"]["measures"]
    errors = list(dict.fromkeys((row["data"], row["model"], row["error"]) for row in found))
    values = {(row["data"], row["model"], row["error"], row["measure"]): row["correlation"] for row in found}
    labels = {name: metric["label"] for name, metric in summary["metrics"].items()}
    head = "<th>error of</th><th>measured as</th>" + "".join(
        f'<th class="number">{html.escape(measure.replace("_", " "))}</th>' for measure in measures
    )
    rows = "".join(
        f"<tr><th>{html.escape(model)}<small class='soft'> {html.escape(data)}</small></th>"
        + f"<td>{html.escape(labels[error])}</td>"
        + "".join(_correlation(values.get((data, model, error, measure))) for measure in measures)
        + "</tr>"
        for data, model, error in errors
    )
    meanings = "; ".join(
        f"<b>{html.escape(name.replace('_', ' '))}</b>: {html.escape(text)}" for name, text in measures.items()
    )
    strongest = max(found, key=lambda row: abs(row["correlation"]))
    return f"""<h2>Does the system know when it is wrong?</h2>
<p>The manifest of a job carries measures of each face's quality. Here stands how well each of them predicts the true
error, as Spearman's rank correlation: 1 or −1 when the order by the measure is the order by the error, 0 when the
measure says nothing. Beyond ±{STRONG:g} (bold) a measure is useful for sorting out bad faces; within ±{WEAK:g} (grey)
it is not. Strongest here: {html.escape(strongest["measure"].replace("_", " "))} with {strongest["correlation"]:+.2f}
for {html.escape(labels[strongest["error"]])} of {html.escape(strongest["model"])}.</p>
{_table(head, rows)}
<p class="note">{meanings}.</p>"""


def problems(summary: dict[str, Any]) -> str:
    """What could not be used or reconstructed, and what was put up with."""
    rows = "".join(
        f'<tr><td class="number">{problem["count"]:,}</td><td>{html.escape(problem["data"])}</td>'
        f"<td>{html.escape(problem['model'])}</td><td>{html.escape(problem['status'].replace('_', ' '))}</td>"
        f"<td>{html.escape(problem['reason'] or '')}"
        f"<small>for example {html.escape(problem['example'])}</small></td></tr>"
        for problem in summary["problems"][:MOST_PROBLEMS]
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in summary["notes"])
    if not rows and not notes:
        return "<h2>Failures</h2><p>None: everything was used, and every picture gave a mesh.</p>"
    head = "<th class='number'>rows</th><th>data</th><th>model</th><th>status</th><th>reason</th>"
    listed = _table(head, rows) if rows else "<p>Every picture gave a mesh.</p>"
    return f"<h2>Failures</h2>{listed}{f'<ul class=note>{notes}</ul>' if notes else ''}"


def trend(summary: dict[str, Any]) -> str:
    """The figures of the runs so far on the same data with the same protocol."""
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
            charts.append(f"<figure>{trend_chart(title, f'{label}, %' if percent else label, series)}</figure>")
    return f"<h2>Trend</h2><div class='charts'>{''.join(charts)}</div>" if charts else ""


def terms(summary: dict[str, Any], table: FigureTable) -> str:
    """What the metrics mean."""
    shown = [metric for metric in TABLE_METRICS if any(table.has(data, metric) for data in table.data_sets)]
    entries = "".join(
        f"<dt>{html.escape(entry['label'])}</dt><dd>{html.escape(entry['meaning'])}</dd>"
        for entry in (table.metrics[metric] for metric in shown)
    )
    models = "".join(
        f"<dt>{html.escape(model['name'])}</dt><dd>{html.escape(model['description'])}</dd>"
        for model in summary["provenance"]["models"]
    )
    return f"""<h2>What the numbers mean</h2><dl class="terms">{entries}</dl>
<h3>The models</h3><dl class="terms">{models}</dl>"""


def _pose_charts(table: FigureTable, data: str) -> list[str]:
    charts = []
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
        charts.append(f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>")
    return charts


def _landmark_bins(table: FigureTable, data: str) -> str:
    bins = table.groups(data, "|yaw|")
    if not table.has(data, "landmark_nme") or not bins:
        return ""
    head = "<th>model</th>" + "".join(f'<th class="number">{group}°</th>' for group in bins)
    head += '<th class="number">mean of the bins</th>'
    rows = "".join(
        f"<tr><th>{html.escape(model)}</th>"
        + "".join(_cell(table, data, model, "landmark_nme", group) for group in [*bins, "all"])
        + "</tr>"
        for model in table.models
    )
    return f"<h3>Landmark error by yaw, as in the AFLW2000-3D protocol</h3>{_table(head, rows)}"


def _attributes(table: FigureTable, data: str) -> str:
    groups = [group for start in ATTRIBUTE_GROUPS for group in table.groups(data, f"{start} ")]
    if len(groups) < 2:
        return ""
    metric = "nme_corresponding" if table.has(data, "nme_corresponding") else "nme"
    series = [
        (model, [100 * (table.value(data, model, metric, group) or float("nan")) for group in groups])
        for model in table.models
    ]
    label = table.metrics[metric]["label"]
    drawn = bar_chart(f"Mean {label} by who the subjects are", f"{label}, %", groups, series)
    counted = ", ".join(
        f"{group}: {max(table.count(data, model, 'share_reconstructed', group) for model in table.models)}"
        for group in groups
    )
    return f"""<h3>By subject</h3><div class="charts"><figure>{drawn}<figcaption>Pictures behind the bars: {counted}.
With few subjects in a group, one of them decides.</figcaption></figure></div>"""


def _cell(table: FigureTable, data: str, model: str, metric: str, group: str = "all") -> str:
    value = table.value(data, model, metric, group)
    best = value is not None and value == table.best(data, metric, group) and len(table.models) > 1
    return f'<td class="number{" best" if best else ""}">{table.written(metric, value)}</td>'


def _correlation(value: float | None) -> str:
    if value is None:
        return '<td class="number soft">–</td>'
    kind = " best" if abs(value) >= STRONG else " soft" if abs(value) < WEAK else ""
    return f'<td class="number{kind}">{value:+.2f}</td>'


def _rotation_measures(outlier: dict[str, Any]) -> str:
    names = {"fit_error": "fit error", "visible_share": "seen by the photo", "detection_score": "detection score"}
    parts = []
    for key, name in names.items():
        value = outlier.get(key)
        if value is not None:
            parts.append(f"{name} {value * 100:.1f} %" if key != "detection_score" else f"{name} {value:.2f}")
    if outlier.get("estimated_yaw") is not None:
        parts.append(f"estimated yaw {outlier['estimated_yaw']:+.0f}°, turned to {outlier['rotated_yaw']:+.0f}°")
    return f"<br>The rotation said: {html.escape(', '.join(parts))}" if parts else ""


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
