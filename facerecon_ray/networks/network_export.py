"""Trained networks as files that other programs run: ONNX, or a program of torch.export.

Pictures are float32 in [0, 1], channels first, RGB, in any number B at a time. Positions are in pixels of the
256 x 256 crop that `geometry.crop_transform` defines, pixel centres at +0.5, y down. What follows is in the file too.

fitter     crop (B, 3, 192, 192), the crop shrunk to three quarters
           rotation (B, 3, 3) of the head; scale (B,) crop pixels per metre; origin (B, 2) where the face model's
           origin lies, crop pixels; shape (B, S) and expression (B, E) coefficients of the face model, standard
           deviations; points (B, 68 + D, 2) crop pixels, landmarks and then the face model's dense ones, and deviation
           (B, 68 + D) of each along an axis. These are what `FitterNetwork.read` makes of the network's own output;
           the system looks at the crop's mirror image as well (`networks.both_ways`). A point p of the face model, in
           metres, lies at origin + scale * (x, -y) of rotation @ p
two-view   views (B, 6, 256, 256), crop and rotated view one behind the other
           position_map (B, 3, 256, 256) x, y and depth + 128 of the UV layout's points, crop pixels / 256
           For weights that correct a fit: views (B, 9, 256, 256), of `FittedViews`; and
           correction (B, 3, 256, 256) which is to be added to the fitted face's position map
prnet      crop (B, 3, 256, 256)
           position_map as that of two-view
rotator    view (B, 5, 256, 256): the filled view, how well the photo saw each pixel, the head's mask
           picture (B, 3, 256, 256) the repaired view
"""

import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from facerecon_ray.config.assets import (
    DETECTOR_WEIGHTS,
    FITTER_WEIGHTS,
    PRNET_WEIGHTS,
    ROTATOR_WEIGHTS,
    TWO_VIEW_WEIGHTS,
)
from facerecon_ray.errors import AssetError, SettingsError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks import face_proposer, fitter, prnet, two_view, view_generator
from facerecon_ray.networks.weight_file import read_metadata
from facerecon_ray.whole_file import check_file, write_whole

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
"""Formats, and the ending of a file's name that stands for each."""

DETECTOR_SIDE = 320
"""Sides of the picture that the exported detector sees; a file is for one size."""

DESCRIPTION = "facerecon.json"
"""The extra file of a torch.export program that says what its input and its outputs are."""


@dataclass(frozen=True)
class Port:
    """The name of an input or an output, and what it means."""

    name: str
    meaning: str


class ExportedNetwork(nn.Module):
    """A network with named outputs, in evaluation mode.

    Parameters
    ----------
    network : gets the input
    read : makes the outputs' values, in their order, of what the network gives
    input : the only one, (B, *size)
    size : of the input without its batch
    outputs : names and meanings
    """

    def __init__(
        self,
        network: nn.Module,
        read: Callable[[Tensor], tuple[Tensor, ...]],
        input: Port,
        size: tuple[int, int, int],
        outputs: tuple[Port, ...],
    ) -> None:
        super().__init__()
        self.network = network
        self.input, self.size, self.outputs = input, size, outputs
        self._read = read
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Outputs by their names."""
        values = self._read(self.network(pictures))
        return {port.name: value for port, value in zip(self.outputs, values, strict=True)}


def export_network(name: str, output: Path, weights: Path | None = None, file_format: str | None = None) -> None:
    """Write a network as one file that needs nothing of this package.

    Parameters
    ----------
    name : of the network, one of `NETWORKS`
    output : the file
    weights : .safetensors file; the packaged one without it
    file_format : one of `FORMATS`; by the output's ending without it

    Raises
    ------
    SettingsError
        when there is no such network or format
    AssetError
        when weights are missing or of another network, or the packages that write ONNX are missing
    OutputError
        when the file cannot be written; an earlier file of that name stays then
    """
    chosen = file_format or {ending: key for key, ending in FORMATS.items()}.get(output.suffix.lower())
    if chosen is None:
        raise SettingsError(f"{output}: its name ends in neither .onnx nor .pt2; choose one, or a format")
    if chosen not in FORMATS:
        raise SettingsError(f"format {chosen!r}: choose {' or '.join(FORMATS)}")
    if chosen == "onnx":
        _require_onnx()
    check_file(output)
    network, metadata = load_exported(name, weights)
    program = _program(network)
    data = _onnx_bytes(program, network, metadata) if chosen == "onnx" else _torch_bytes(program, network, metadata)
    write_whole(data, output)


def load_exported(name: str, weights: Path | None = None) -> tuple[ExportedNetwork, dict[str, str]]:
    """Load a network as it is exported, and what its weight file says of itself; parameters as `export_network`.

    Raises
    ------
    SettingsError
        when there is no such network
    AssetError
        when weights are missing or of another network
    """
    if name not in NETWORKS:
        raise SettingsError(f"network {name!r}: choose {', '.join(NETWORKS)}")
    packaged, load = NETWORKS[name]
    path = weights or packaged
    return load(path), read_metadata(path, name)


def _detector(path: Path) -> ExportedNetwork:
    smallest, largest = face_proposer.SMALLEST, face_proposer.LARGEST
    return ExportedNetwork(
        face_proposer.load_weights(path),
        _single,
        Port("picture", f"RGB in [0, 1] of a picture whose faces have {smallest:g} to {largest:g} pixels"),
        (3, DETECTOR_SIDE, DETECTOR_SIDE),
        (
            Port(
                "maps",
                "for each cell of 4 x 4 pixels the logit that a face's middle is there, x and y of the middle from "
                f"the cell's in cells, the logarithm of its side over {face_proposer.USUAL_SIZE:g} pixels, cosine and "
                "sine of its roll",
            ),
        ),
    )


def _fitter(path: Path) -> ExportedNetwork:
    network = fitter.load_weights(path, FaceModel.default())

    def read(output: fitter.Output) -> tuple[Tensor, ...]:
        found = network.read(output)
        place = found.rotation, found.camera.scale, found.camera.translation
        return *place, found.shape, found.expression, found.points, found.deviation

    return ExportedNetwork(
        network,
        read,  # type: ignore[arg-type]
        Port("crop", "RGB in [0, 1], the 256 x 256 crop shrunk to three quarters"),
        (3, fitter.INPUT_SIZE, fitter.INPUT_SIZE),
        (
            Port("rotation", "the head's rotation; its point p lies at origin + scale * (x, -y) of rotation @ p"),
            Port("scale", "crop pixels per metre"),
            Port("origin", "x and y of the face model's origin, crop pixels"),
            Port("shape", "coefficients of the face model, standard deviations"),
            Port("expression", "coefficients of the face model, standard deviations"),
            Port("points", "x and y of the 68 landmarks, then of the face model's dense ones, crop pixels"),
            Port("deviation", "standard deviation of each point along an axis, crop pixels"),
        ),
    )


def _two_view(path: Path) -> ExportedNetwork:
    network = two_view.load_weights(path)
    if not two_view.corrects_fit(path):
        views = Port("views", "RGB in [0, 1] of the crop, then of the rotated view")
        return ExportedNetwork(network, _single, views, (two_view.INPUT_CHANNELS, CROP_SIZE, CROP_SIZE), (_MAP,))
    return ExportedNetwork(
        network,
        lambda output: (two_view.corrected(torch.zeros_like(output), output),),
        Port("views", "in the UV square: RGB of the crop and of the rotated view, the fitted map about its middle"),
        (two_view.INPUT_CHANNELS + two_view.FIT_CHANNELS, CROP_SIZE, CROP_SIZE),
        (Port("correction", "to be added to the fitted face's UV position map, crop pixels / 256"),),
    )


def _prnet(path: Path) -> ExportedNetwork:
    crop = Port("crop", "RGB in [0, 1] of the crop")
    return ExportedNetwork(prnet.load_weights(path), _single, crop, (3, CROP_SIZE, CROP_SIZE), (_MAP,))


def _rotator(path: Path) -> ExportedNetwork:
    return ExportedNetwork(
        view_generator.load_weights(path),
        _single,
        Port("view", "RGB of the filled view, how well the photo saw each pixel, the head's mask, all in [0, 1]"),
        (view_generator.INPUT_CHANNELS, CROP_SIZE, CROP_SIZE),
        (Port("picture", "RGB in [0, 1] of the repaired view"),),
    )


def _single(output: Tensor) -> tuple[Tensor, ...]:
    return (output,)


_MAP = Port("position_map", "x, y and depth + 128 of the UV layout's points, crop pixels / 256")

NETWORKS: Mapping[str, tuple[Path, Callable[[Path], ExportedNetwork]]] = {
    "detector": (DETECTOR_WEIGHTS, _detector),
    "fitter": (FITTER_WEIGHTS, _fitter),
    "two-view": (TWO_VIEW_WEIGHTS, _two_view),
    "prnet": (PRNET_WEIGHTS, _prnet),
    "rotator": (ROTATOR_WEIGHTS, _rotator),
}
"""Weights that come with the package, and how to load them, by the network's name."""


def _program(network: ExportedNetwork) -> torch.export.ExportedProgram:
    # A batch of one would be taken for a constant.
    pictures = torch.zeros(2, *network.size)
    return torch.export.export(network, (pictures,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _torch_bytes(
    program: torch.export.ExportedProgram, network: ExportedNetwork, metadata: Mapping[str, str]
) -> bytes:
    outputs = {port.name: port.meaning for port in network.outputs}
    description = {"input": {network.input.name: network.input.meaning}, "outputs": outputs, **metadata}
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={DESCRIPTION: json.dumps(description, indent=1)})
    return file.getvalue()


def _onnx_bytes(program: torch.export.ExportedProgram, network: ExportedNetwork, metadata: Mapping[str, str]) -> bytes:
    names = [port.name for port in network.outputs]
    # It warns of torchvision's operators, which no network has, and of its own use of pytrees.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        exported = torch.onnx.export(
            program, input_names=[network.input.name], output_names=names, dynamo=True, verbose=False
        )
    assert exported is not None
    graph = exported.model.graph
    for value, port in zip([*graph.inputs, *graph.outputs], [network.input, *network.outputs], strict=True):
        value.doc_string = port.meaning
    exported.model.metadata_props.update(metadata)
    data: bytes = exported.model_proto.SerializeToString()
    return data


def _require_onnx() -> None:
    try:
        for package in ("onnx", "onnxscript"):
            importlib.import_module(package)
    except ImportError:
        raise AssetError("ONNX needs the packages onnx and onnxscript: pip install 'facerecon-ray[onnx]'") from None
