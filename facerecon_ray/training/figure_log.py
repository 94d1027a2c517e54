"""Figures and pictures of a training for TensorBoard, and for MLflow where a server is named."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from facerecon_ray.config.training import TrainJob
from facerecon_ray.errors import SettingsError
from facerecon_ray.storage.objects import ObjectStore

FOLDER = "tensorboard"


class FigureLog:
    """Event files under tensorboard/ in the output; in object storage they are brought up to date at validations.

    Parameters
    ----------
    store : the training's output
    job : the settings
    step : at which this run begins; each run has an event file of its own

    Raises
    ------
    SettingsError
        when an MLflow server is named and the package mlflow is missing
    """

    def __init__(self, store: ObjectStore, job: TrainJob, step: int) -> None:
        self._store = store
        self._folder = tempfile.TemporaryDirectory(prefix="facerecon-")
        self._writer = SummaryWriter(self._folder.name, filename_suffix=f".from-{step}", flush_secs=10)
        self._run = _mlflow_run(job)

    def losses(self, step: int, losses: dict[str, float], rows_per_second: float, wait_share: float) -> None:
        """Running averages of a step."""
        values = {f"loss/{name}": value for name, value in losses.items()}
        self._add(step, {**values, "pace/rows_per_second": rows_per_second, "pace/wait_share": wait_share})

    def figures(self, step: int, figures: dict[str, float], picture: np.ndarray | None) -> None:
        """Figures of a validation and a picture (H, W, 3) uint8."""
        self._add(step, {f"validation/{name.replace('@', '/yaw')}": value for name, value in figures.items()})
        if picture is not None:
            self._writer.add_image("samples", picture, step, dataformats="HWC")
        self._upload()

    def close(self) -> None:
        """Bring everything to the output."""
        self._upload()
        self._writer.close()
        self._folder.cleanup()
        if self._run is not None:
            self._run.end_run()

    def _add(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        if self._run is not None:
            self._run.log_metrics({name.replace("+", "p"): value for name, value in values.items()}, step=step)

    def _upload(self) -> None:
        self._writer.flush()
        for path in Path(self._folder.name).iterdir():
            self._store.write(f"{FOLDER}/{path.name}", path.read_bytes())


def _mlflow_run(job: TrainJob) -> Any:
    """The module mlflow with a run begun, None where no server is named."""
    if job.mlflow is None:
        return None
    try:
        import mlflow
    except ImportError:
        raise SettingsError("setting 'mlflow': the package is missing; pip install 'facerecon-ray[mlflow]'") from None
    mlflow.set_tracking_uri(job.mlflow)
    mlflow.set_experiment(f"facerecon {job.network}")
    mlflow.start_run()
    mlflow.log_params({"network": job.network, "data": job.data, "steps": job.steps, "batch_size": job.batch_size})
    return mlflow
