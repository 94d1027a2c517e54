"""How good the averaged weights are on the validation rows."""

from collections.abc import Iterator

import numpy as np
import ray.data
import torch
import torch.distributed
from torch import Tensor

from facerecon_ray.config.training import TrainJob
from facerecon_ray.errors import InputError
from facerecon_ray.training.batch_tensors import on_device
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.recipes.recipe import Recipe, Tensors

YAW_BIN = 30.0
PICTURE_ROWS = 8


def validate(
    learner: Learner, recipe: Recipe, stream: "ray.data.DataIterator", job: TrainJob, device: torch.device, share: int
) -> tuple[dict[str, float], np.ndarray | None]:
    """Figures over all workers' rows, the same in every worker, and a picture of the first of this worker's rows.

    Parameters
    ----------
    learner : with the averaged weights
    recipe : says what is measured
    stream : this worker's part of the validation rows
    job : says how many rows count
    device : where
    share : number of workers among which the rows are shared

    Raises
    ------
    InputError
        when no worker has any row, or none by which the network is measured
    """
    found: list[dict[str, Tensor]] = []
    yaws: list[Tensor] = []
    picture = None
    for batch in first_rows(stream, job, device, max(1, job.validation_rows // share)):
        network = learner.measured()
        found.append({name: values.float().cpu() for name, values in recipe.figures(network, batch).items()})
        if picture is None:
            picture = recipe.picture(network, {name: v[:PICTURE_ROWS] for name, v in batch.items()})
        yaws.append(batch["pose"][:, 0].float().cpu())
    if torch.distributed.is_initialized():
        parts: list[tuple[list[dict[str, Tensor]], list[Tensor]]] = [([], [])] * share
        torch.distributed.all_gather_object(parts, (found, yaws))
        found, yaws = [row for part in parts for row in part[0]], [yaw for part in parts for yaw in part[1]]
    if not found:
        raise InputError(
            f"data {job.data}: no row for validation is whole; make the data set again, or change its split"
        )
    figures = averaged_figures(found, yaws, YAW_BIN)
    if recipe.goal not in figures:
        raise InputError(f"data {job.data}: no row for validation has all that {job.network} is measured by")
    return figures, picture


def first_rows(stream: "ray.data.DataIterator", job: TrainJob, device: torch.device, rows: int) -> Iterator[Tensors]:
    """This worker's first rows of a stream, in batches."""
    for batch in stream.iter_batches(batch_size=min(job.batch_size, rows), batch_format="numpy"):
        count = len(next(iter(batch.values())))
        yield on_device({name: values[:rows] for name, values in batch.items()}, device)
        rows -= count
        if rows <= 0:
            return


def averaged_figures(rows: list[dict[str, Tensor]], yaws: list[Tensor], bin_size: float) -> dict[str, float]:
    """Means over the rows that have a figure; of a figure whose name ends in @, in bins of yaw.

    What no row has is left out.

    Parameters
    ----------
    rows : figures of each batch, (B,) each
    yaws : (B,) of each batch, degrees
    bin_size : degrees
    """
    if not rows:
        return {}
    joined = {name: torch.cat([batch[name].float().cpu() for batch in rows]) for name in rows[0]}
    yaw = torch.cat([batch.float().cpu() for batch in yaws])
    lowest = (yaw / bin_size).floor().clamp(-90 // bin_size, (90 - 1e-3) // bin_size) * bin_size
    figures: dict[str, float] = {}
    for name, values in joined.items():
        there = ~values.isnan()
        if not name.endswith("@"):
            if there.any():
                figures[name] = float(values[there].mean())
            continue
        for low in sorted(set(lowest[there].tolist())):
            figures[f"{name}{low:+.0f}"] = float(values[there & (lowest == low)].mean())
    return figures
