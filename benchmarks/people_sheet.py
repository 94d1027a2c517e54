"""A contact sheet of people from the output of `facerecon reconstruct`: each photo beside its mesh, in clay.

    python benchmarks/people_sheet.py OUT --output docs/faces.jpg [--most 20] [--columns 2]

Of more faces as many are taken, evenly spaced in the order of their photos' names. It is there to be looked at:
different people look different, children like children, open mouths are open, smiles are smiles.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from facerecon_ray.geometry.crop_transform import CROP_SIZE

SIDE, MARGIN = 150, 6


def tile(preview: Path) -> np.ndarray:
    """(150, 750, 3) the crop, the mesh on it, and the mesh from three sides, of a preview."""
    drawn = cv2.imread(str(preview))
    assert drawn is not None, f"{preview} is no picture"
    above, below = drawn[:CROP_SIZE, : 2 * CROP_SIZE], drawn[CROP_SIZE:]
    return cv2.resize(np.hstack([above, below]), (5 * SIDE, SIDE), interpolation=cv2.INTER_AREA)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="output of facerecon reconstruct, with previews")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--columns", type=int, default=2)
    options = parser.parse_args()
    previews = sorted(path for path in (options.folder / "previews").rglob("*.jpg") if path.is_file())
    if not previews:
        parser.error(f"{options.folder} has no previews")
    count = min(options.most, len(previews))
    chosen = [previews[place] for place in np.linspace(0, len(previews) - 1, count).round().astype(int)]
    tiles = [np.pad(tile(path), [(MARGIN, 0), (MARGIN, 0), (0, 0)], constant_values=255) for path in chosen]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % options.columns)
    rows = [np.hstack(tiles[start : start + options.columns]) for start in range(0, len(tiles), options.columns)]
    cv2.imwrite(str(options.output), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{count} of {len(previews)} faces in {options.output}")


if __name__ == "__main__":
    main()
