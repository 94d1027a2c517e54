"""How good trained weights are on subjects that they were not trained on, by yaw: the figures of their training.

    python benchmarks/trained_network.py two-view --data PAIRS [--weights FILE] [--split test]

PAIRS is a data set that `facerecon synthesize` made; `--split all` for one that nothing was trained on.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from facerecon_ray.config import assets
from facerecon_ray.config.training import NETWORKS
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks import fitter, prnet, two_view, view_generator
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.training.pair_stream import on_device
from facerecon_ray.training.recipes.registry import build_recipe
from facerecon_ray.training.validation import YAW_BIN, averaged_figures

SHIPPED = {
    "fitter": assets.FITTER_WEIGHTS,
    "two-view": assets.TWO_VIEW_WEIGHTS,
    "prnet": assets.PRNET_WEIGHTS,
    "rotator": assets.ROTATOR_WEIGHTS,
}


def loaded(name: str, path: Path) -> nn.Module:
    """The network with its weights."""
    if name == "fitter":
        return fitter.load_weights(path, FaceModel.default())
    return {"two-view": two_view, "prnet": prnet, "rotator": view_generator}[name].load_weights(path)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=tuple(SHIPPED))
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = options.weights or SHIPPED[options.network]
    network, device = loaded(options.network, weights), torch.device("cpu")
    tree = {"data": options.data, "output": "unused"}
    if options.network == "two-view":
        tree["fit"] = two_view.corrects_fit(weights)
    recipe = build_recipe(NETWORKS[options.network].model_validate(tree), device)
    found, yaws = [], []
    split = None if options.split == "all" else options.split
    for subject in read_pairs(open_store(options.data), split, "ok", list(recipe.columns)):
        batch = on_device(subject, device)
        found.append(recipe.figures(network, batch))
        yaws.append(batch["pose"][:, 0])
    figures = averaged_figures(found, yaws, YAW_BIN)
    print(f"{options.network}, {sum(map(len, yaws))} views of subjects it was not trained on")
    lows = sorted({float(name.split("@")[1]) for name in figures if "@" in name})
    print(f"{'':>16}{'all':>9}" + "".join(f"{low:>9.0f}" for low in lows))
    for name in dict.fromkeys(name.split("@")[0] for name in figures):
        by_yaw = [figures.get(f"{name}@{low:+.0f}") for low in lows]
        cells = [figures.get(name), *by_yaw]
        print(f"{name:>16}" + "".join(f"{'' if cell is None else format(cell, '.4f'):>9}" for cell in cells))


if __name__ == "__main__":
    main()
