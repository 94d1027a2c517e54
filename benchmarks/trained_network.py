"""How good trained weights are on subjects that they were not trained on, by yaw: the figures of their training.

    python benchmarks/trained_network.py two-view --data PAIRS [--weights FILE] [--split test]

PAIRS is a data set that `facerecon synthesize` made; `--split all` for one that nothing was trained on.
"""

import argparse
from pathlib import Path

import torch

from facerecon_ray.config.training import NETWORKS
from facerecon_ray.networks.network_export import load_exported
from facerecon_ray.networks.two_view import FIT
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.training.batch_tensors import on_device
from facerecon_ray.training.recipes.registry import build_recipe
from facerecon_ray.training.validation import YAW_BIN, averaged_figures


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=tuple(NETWORKS))
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    torch.set_num_threads(1)
    exported, metadata = load_exported(options.network, options.weights)
    device = torch.device("cpu")
    tree = {"data": options.data, "output": "unused"}
    if options.network == "two-view":
        tree["fit"] = FIT in metadata
    recipe = build_recipe(NETWORKS[options.network].model_validate(tree), device)
    found, yaws = [], []
    split = None if options.split == "all" else options.split
    for subject in read_pairs(open_store(options.data), split, "ok", list(recipe.columns)):
        batch = on_device(subject, device)
        found.append(recipe.figures(exported.network, batch))
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
