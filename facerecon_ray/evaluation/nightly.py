"""One evaluation from settings to report: run, compare with earlier runs, write, tell."""

import os
from dataclasses import dataclass
from typing import Any

from facerecon_ray.config.evaluation import EvaluateJob, WebhookSettings
from facerecon_ray.evaluation.figures import figures_of
from facerecon_ray.evaluation.gates import GateResult, check_gates, load_gates
from facerecon_ray.evaluation.history import Night, append_to_history, comparable_figures, read_history
from facerecon_ray.evaluation.items import list_items
from facerecon_ray.evaluation.job import run_evaluation
from facerecon_ray.evaluation.provenance import provenance
from facerecon_ray.evaluation.results import summary_of, write_results
from facerecon_ray.evaluation.webhook import message, send
from facerecon_ray.geometry.surface import require_open3d
from facerecon_ray.jobs.progress import Progress
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.run_lock import claimed

WEBHOOK_VARIABLE = "FACERECON_WEBHOOK"


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    summary          contents of evaluation.json
    report           where the report is
    gates            results of the gates, none without a gate file
    webhook_problem  why the message could not be delivered, None when it was or none was wanted
    """

    summary: dict[str, Any]
    report: str
    gates: tuple[GateResult, ...]
    webhook_problem: str | None

    @property
    def fruitless(self) -> str | None:
        """A data set of which no model made any mesh, with the most frequent reason; None where there is none."""
        for data, count in self.summary["counts"].items():
            if not count["ok"]:
                reasons = (problem["reason"] for problem in self.summary["problems"] if problem["data"] == data)
                return f"{data}: none of {count['items']} could be evaluated ({next(reasons, 'no reason is known')})"
        return None

    @property
    def passed(self) -> bool:
        """Whether all gates were passed."""
        return all(result.passed for result in self.gates)


def check_requirements(job: EvaluateJob) -> None:
    """Refuse before Ray starts what can be refused: a folder without data, a package or library that is missing.

    Raises
    ------
    FaceReconError
        with what to do about it
    """
    if list_items(job.data, job.protocol).scans:
        require_open3d()


def evaluate(job: EvaluateJob, progress: Progress | None = None) -> Outcome:
    """Run an evaluation on the Ray cluster that this process is connected to.

    What can be refused is refused before the work begins: a gate file with a mistake, a store that does not answer.

    Parameters
    ----------
    job : the settings
    progress : is told how far it is

    Raises
    ------
    FaceReconError
        when the settings, the data or a store are wrong
    """
    gates = load_gates(job.gates) if job.gates else ()
    output = open_store(job.output, job.s3)
    with claimed(output) as check:
        history = open_store(job.history, job.s3) if job.history else None
        nights = read_history(history) if history else []
        results = run_evaluation(job, progress)
        figures = tuple(figures_of(results.rows, job.protocol))
        origin = provenance(job, results.models, results.checksums)
        key = origin["comparable"]
        tonight = Night(results.started, key, origin["git_commit"], origin["facerecon_ray"], figures)
        checked = check_gates(gates, figures, comparable_figures(nights, key))
        shown = [*(night for night in nights if night.comparable == key), tonight]
        summary = summary_of(job, results, figures, checked, shown, origin)
        check()
        report = write_results(output, results, summary)
        if history and figures:
            append_to_history(history, tonight)
        return Outcome(summary, report, tuple(checked), _tell(job.webhook, checked, report))


def _tell(settings: WebhookSettings, results: list[GateResult], report: str) -> str | None:
    url = settings.url.get_secret_value() if settings.url else os.environ.get(WEBHOOK_VARIABLE)
    failed = any(not result.passed for result in results)
    if not url or not (failed or settings.when == "always"):
        return None
    return send(url, message(results, report))
