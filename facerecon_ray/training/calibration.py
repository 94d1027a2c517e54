"""How a trained fitter errs, measured on more faces than its training looked at and written into its weights."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from facerecon_ray.config.training import FitterTraining
from facerecon_ray.errors import AssetError, InputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.networks.fitter import load_weights
from facerecon_ray.networks.weight_file import NETWORK, read_metadata, weight_bytes, write_whole
from facerecon_ray.storage.pairs.dataset_card import open_data_set
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.training.batch_tensors import on_device
from facerecon_ray.training.recipes.fitter import FitterRecipe
from facerecon_ray.training.recipes.recipe import Tensors

SPLITS = ("validation", "test")
"""Of the data that the fitter was trained on, those rows that it has not seen."""


def calibrate(
    weights: Path, data: Sequence[str], held_out: Sequence[str], output: Path, face_model: Path | None = None
) -> int:
    """Write a fitter's weights anew with the covariances of its errors on faces that it was not trained on.

    A training measures them on the rows that it validates with: enough to see how good it is, few for the covariances
    of 136 landmark coordinates and as many coefficients.

    Parameters
    ----------
    weights : of the fitter
    data : data sets, each a folder or s3://BUCKET/PREFIX; their splits for validation and test count
    held_out : further data sets, none of whose rows were trained on; all of them count
    output : the weight file to write
    face_model : whose coefficients the data have; without one, the embedded model

    Returns
    -------
    rows that were measured

    Raises
    ------
    AssetError
        when the weights are missing, or not those of a fitter for the face model
    InputError
        when a data set is missing, or none has such rows
    OutputError
        when the file cannot be written
    """
    metadata = read_metadata(weights, "fitter")
    if metadata.get(NETWORK, "fitter") != "fitter":
        raise AssetError(f"weights {weights}: they are {metadata[NETWORK]}'s; only a fitter knows how it errs")
    network = load_weights(weights, FaceModel.open(face_model))
    device = torch.device("cpu")
    settings = FitterTraining(data=str(output), output=str(output), face_model=face_model)
    recipe = FitterRecipe(settings, device)
    rows = 0

    def batches() -> Iterator[Tensors]:
        nonlocal rows
        for uri, splits in [*((uri, SPLITS) for uri in data), *((uri, (None,)) for uri in held_out)]:
            store = open_data_set(uri)
            for split in splits:
                for batch in read_pairs(store, split, "ok", recipe.columns):
                    rows += len(batch["crop"])
                    yield on_device(batch, device)
        if not rows:
            raise InputError(f"data {', '.join([*data, *held_out])}: no rows for validation or test")

    with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
        recipe.calibrate(network.to(memory_format=torch.channels_last), network, batches())  # type: ignore[call-overload]
    kept = {name: value for name, value in metadata.items() if name != NETWORK}
    write_whole(weight_bytes(network.state_dict(), "fitter", kept), output)
    return rows
