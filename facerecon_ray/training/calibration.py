"""What a fitter's points tell of a face, and how they err: from many faces, written into its weights."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from facerecon_ray.config.training import FitterTraining
from facerecon_ray.errors import AssetError, InputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.networks.fitter import load_weights
from facerecon_ray.networks.weight_file import NETWORK, read_metadata, weight_bytes
from facerecon_ray.storage.pairs.dataset_card import open_data_set
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.training.batch_tensors import on_device
from facerecon_ray.training.recipes.fitter import FitterRecipe
from facerecon_ray.training.recipes.seen_points import SeenPoints
from facerecon_ray.whole_file import check_file, write_whole

LEARNT, UNSEEN = ("train",), ("validation", "test")
"""Splits of the data that the fitter was trained on: rows that it has seen, and those that it has not."""

MOST_SUBJECTS = 25_000
"""By whose rows coefficients are solved, at most: what the network says of each view takes 5 KB of memory."""


def calibrate(
    weights: Path, data: Sequence[str], held_out: Sequence[str], output: Path, face_model: Path | None = None
) -> int:
    """Write a fitter's weights anew: with coefficients that follow from its points, and the covariances of its errors.

    A training solves and measures both on the rows that it validates with: enough to see how good it is, few for the
    thousands of numbers of the regression and the covariances of hundreds of points. Here the regression is solved on
    the rows for training, where points are hardly better than elsewhere, and the errors are measured on faces that the
    fitter was not trained on.

    Parameters
    ----------
    weights : of the fitter
    data : data sets, each a folder or s3://BUCKET/PREFIX; by their rows for training the coefficients are solved,
        where there are any, and by those for validation and test errors are measured
    held_out : further data sets, none of whose rows were trained on; errors are measured by all of them
    output : the weight file to write
    face_model : whose coefficients the data have; without one, the embedded model

    Returns
    -------
    rows by which errors were measured

    Raises
    ------
    AssetError
        when the weights are missing, or not those of a fitter for the face model
    InputError
        when a data set is missing, or none has such rows
    OutputError
        when the file cannot be written
    """
    check_file(output)
    metadata = read_metadata(weights, "fitter")
    if metadata.get(NETWORK, "fitter") != "fitter":
        raise AssetError(f"weights {weights}: they are {metadata[NETWORK]}'s; only a fitter knows how it errs")
    network = load_weights(weights, FaceModel.open(face_model))
    device = torch.device("cpu")
    settings = FitterTraining(data=str(output), output=str(output), face_model=face_model)
    recipe = FitterRecipe(settings, device)

    def seen(uri: str, splits: Sequence[str | None]) -> Iterator[SeenPoints]:
        store = open_data_set(uri)
        batches = (
            on_device(rows, device) for split in splits for rows in read_pairs(store, split, "ok", recipe.columns)
        )
        yield from recipe.seen(network, batches)

    measured_on = [*((uri, UNSEEN) for uri in data), *((uri, (None,)) for uri in held_out)]
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
        unseen = [rows for uri, splits in measured_on for rows in seen(uri, splits)]
        if not unseen:
            raise InputError(f"data {', '.join([*data, *held_out])}: no rows for validation or test")
        learnt = list(islice((rows for uri in data for rows in seen(uri, LEARNT)), MOST_SUBJECTS))
    if learnt:
        recipe.solve(network, learnt)
    recipe.measure(network, unseen)
    kept = {name: value for name, value in metadata.items() if name != NETWORK}
    write_whole(weight_bytes(network.state_dict(), "fitter", kept), output)
    return sum(len(rows.points) for rows in unseen)
