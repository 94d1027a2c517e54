#!/usr/bin/env bash
# Pillow 13.0.0 opens an intact RGB TIFF of 16 bits whose colours are stored in separate planes, says mode RGB, raises
# and warns of nothing, and gives each BYTE of a plane as a pixel: low and high bytes side by side, the left half of
# each row stretched over the whole row. The picture looks striped and is wrong everywhere. The same file with
# interleaved colours, or with 8 bits in planes, is right.
#
# Guess before running: either the upper 8 bits of each colour, as for interleaved colours, or an error that says that
# the layout is not known.
#
# Seen (tifffile 2026.3.3 writes and reads the file; one row of four equal pixels of 10000, 30000, 60000):
#   8 bits in planes         [[39, 117, 234], [39, 117, 234], [39, 117, 234], [39, 117, 234]]
#   16 bits interleaved      [[39, 117, 234], [39, 117, 234], [39, 117, 234], [39, 117, 234]]
#   16 bits in planes        [[16, 48, 96], [39, 117, 234], [16, 48, 96], [39, 117, 234]]
#   tifffile reads           [[10000, 30000, 60000], [10000, 30000, 60000], [10000, 30000, 60000], [10000, 30000, 60000]]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import warnings

import numpy as np
import tifffile
from PIL import Image

warnings.simplefilter("error")
COLOUR = (10000, 30000, 60000)
ROW = np.array([[COLOUR] * 4], np.uint16)


def written(values, planes):
    contents = io.BytesIO()
    values = np.ascontiguousarray(np.moveaxis(values, -1, 0)) if planes else values
    tifffile.imwrite(contents, values, photometric="rgb", planarconfig="separate" if planes else "contig")
    return contents


def seen(contents):
    with Image.open(contents) as image:
        assert image.mode == "RGB" and image.size == (4, 1)
        return np.asarray(image)[0].tolist()


right = [[value >> 8 for value in COLOUR]] * 4
bytes_as_pixels = [[value & 255 for value in COLOUR], [value >> 8 for value in COLOUR]] * 2
deep = written(ROW, planes=True)
for name, found, expected in (
    ("8 bits in planes", seen(written((ROW >> 8).astype(np.uint8), planes=True)), right),
    ("16 bits interleaved", seen(written(ROW, planes=False)), right),
    ("16 bits in planes", seen(deep), bytes_as_pixels),
    ("tifffile reads", np.moveaxis(tifffile.imread(io.BytesIO(deep.getvalue())), 0, -1)[0].tolist(), [list(COLOUR)] * 4),
):
    print(f"{name:24s} {found}")
    assert found == expected, (name, expected)
PYTHON
