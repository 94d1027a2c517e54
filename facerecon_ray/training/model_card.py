"""The card of trained weights: data, steps, hardware, hours, figures by yaw; a person adds known failures."""

import platform
from typing import Any

import torch

from facerecon_ray.config.training import TrainJob
from facerecon_ray.storage.pairs.dataset_card import DatasetCard
from facerecon_ray.storage.software import versions
from facerecon_ray.training.checkpoints import weights_name

CARD = "card.md"
_VERSIONED = ("torch", "ray", "numpy")


def model_card(job: TrainJob, history: list[dict[str, Any]], card: DatasetCard | str | None) -> str:
    """Markdown.

    Parameters
    ----------
    job : the settings
    history : figures of every validation
    card : of the data, or what they are
    """
    best = best_validation(history)
    lines = [
        f"# {job.network}",
        "",
        f"Weights `{weights_name(job.network)}`: running average of the weights at step {best['step']} of "
        f"{job.steps}, the best validation.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in _facts(job, best, history[-1], card).items()),
        "",
        "## Figures on the validation subjects",
        "",
        *_table(best["figures"]),
        "",
        "## Settings",
        "",
        "```yaml",
        *(f"{name}: {value}" for name, value in sorted(_changed(job).items())),
        "```",
        "",
    ]
    return "\n".join(lines)


def best_validation(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry whose weights were kept."""
    return next((entry for entry in reversed(history) if entry.get("best")), history[-1])


def _facts(
    job: TrainJob, best: dict[str, Any], last: dict[str, Any], card: DatasetCard | str | None
) -> dict[str, str]:
    return {
        "data": _data(card),
        "rows seen": f"{best['rows']}",
        "batch": f"{job.batch_size} rows in each of {job.workers.count} workers",
        "seed": f"{job.seed}",
        "hours": f"{last['seconds'] / 3600:.2f}",
        "hardware": _hardware(job),
        "versions": ", ".join(f"{name} {version}" for name, version in versions(_VERSIONED).items()),
        "share of the time spent waiting for data": f"{100 * last['wait_share']:.1f} %",
    }


def _data(card: DatasetCard | str | None) -> str:
    if card is None or isinstance(card, str):
        return card or "unknown"
    made = "" if card.status == "complete" else f"the first {len(card.shards)} shards of "
    from_photos = card.counts.get("skin", {}).get("photo", 0)
    photos = f"{from_photos} with skin from photos" if from_photos else "painted skin only"
    return f"{made}{card.subjects} subjects, {card.rows} views, seed {card.seed}, {photos} (`facerecon synthesize`)"


def _hardware(job: TrainJob) -> str:
    if job.workers.gpus and torch.cuda.is_available():
        return f"{job.workers.count} x {torch.cuda.get_device_name()}"
    cpu = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    threads = f"{job.workers.threads} threads" if job.workers.threads else "all threads"
    return f"{job.workers.count} workers with {threads} of {cpu}"


def _table(figures: dict[str, float]) -> list[str]:
    """Plain figures as a list, those by yaw as a table."""
    plain = {name: value for name, value in figures.items() if "@" not in name}
    by_yaw: dict[str, dict[float, float]] = {}
    for name, value in figures.items():
        if "@" in name:
            figure, low = name.split("@")
            by_yaw.setdefault(figure, {})[float(low)] = value
    lines = [f"- {name}: {value:.4g}" for name, value in plain.items()]
    if by_yaw:
        bins = sorted({low for values in by_yaw.values() for low in values})
        lines += [
            "",
            "| by yaw, from | " + " | ".join(f"{low:g}°" for low in bins) + " |",
            "| --- |" + " --- |" * len(bins),
            *(
                f"| {figure} | " + " | ".join(f"{values[low]:.4g}" if low in values else "" for low in bins) + " |"
                for figure, values in by_yaw.items()
            ),
        ]
    return lines


def _changed(job: TrainJob) -> dict[str, Any]:
    """Settings that are not what they would be without a job file, by dotted name; not where things are."""
    default = type(job)(network=job.network, data=job.data, output=job.output)
    flat, usual = _flat(job.model_dump(mode="json")), _flat(default.model_dump(mode="json"))
    apart = ("data", "output", "init", "fitter", "face_model", "s3.", "mlflow")
    return {name: value for name, value in flat.items() if value != usual.get(name) and not name.startswith(apart)}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
