"""Exported networks against the networks themselves."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from settled import settle

from facerecon_ray.errors import AssetError, OutputError, SettingsError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks import fitter, prnet, two_view, view_generator
from facerecon_ray.networks.network_export import DESCRIPTION, export_network
from facerecon_ray.networks.two_view import CORRECTION, FIT, TwoViewNetwork
from facerecon_ray.networks.weight_file import weight_bytes

BATCHES = (1, 3)
MAPPERS = ("prnet", "two-view", "two-view with a fit")
CASES = ("fitter", "rotator", *(pytest.param(name, marks=pytest.mark.slow) for name in MAPPERS))
SIZES = {
    "fitter": (3, 192, 192),
    "two-view": (6, 256, 256),
    "two-view with a fit": (9, 256, 256),
    "prnet": (3, 256, 256),
    "rotator": (5, 256, 256),
}
INPUTS = {"fitter": "crop", "two-view": "views", "two-view with a fit": "views", "prnet": "crop", "rotator": "view"}


class Case:
    """A network of random weights in a file, and what it makes of pictures in evaluation mode."""

    def __init__(self, case: str, folder: Path) -> None:
        self.case, self.name = case, case.split()[0]
        self.input, self.folder = INPUTS[case], folder
        self.weights = folder / "weights.safetensors"
        generator = torch.Generator().manual_seed(0)
        self.pictures = torch.rand(max(BATCHES), *SIZES[case], generator=generator)
        self.weights.write_bytes(weight_bytes(self._random().state_dict(), self.name, self.metadata))
        self.expected = self._outputs()
        assert all(np.ptp(value.numpy()) > 1e-4 for value in self.expected.values())

    @property
    def metadata(self) -> dict[str, str]:
        return {FIT: "true"} if self.case == "two-view with a fit" else {"step": "7"}

    def _random(self) -> nn.Module:
        """With the pictures' own batch statistics, so that signals reach the output."""
        torch.manual_seed(0)
        model = FaceModel.default()
        network: nn.Module = {
            "fitter": lambda: fitter.network_for(model),
            "two-view": TwoViewNetwork,
            "two-view with a fit": lambda: TwoViewNetwork(fit=True),
            "prnet": prnet.PRNet,
            "rotator": view_generator.ViewGenerator,
        }[self.case]()
        if isinstance(network, view_generator.ViewGenerator):
            nn.init.normal_(network.output.weight, std=0.1)
        if isinstance(network, fitter.FitterNetwork):
            for part in network.coefficients.buffers():
                nn.init.normal_(part, std=0.01)
        settle(network, self.pictures)
        return network

    @torch.no_grad()
    def _outputs(self) -> dict[str, Tensor]:
        if self.name == "fitter":
            network = fitter.load_weights(self.weights, FaceModel.default())
            found = network.read(network(self.pictures))
            return {
                "rotation": found.rotation,
                "scale": found.camera.scale,
                "origin": found.camera.translation,
                "shape": found.shape,
                "expression": found.expression,
                "points": found.points,
                "deviation": found.deviation,
            }
        if self.name == "two-view":
            output = two_view.load_weights(self.weights)(self.pictures)
            fit = self.case == "two-view with a fit"
            return {"correction": (output - 0.5) * CORRECTION} if fit else {"position_map": output}
        if self.name == "prnet":
            return {"position_map": prnet.load_weights(self.weights)(self.pictures)}
        return {"picture": view_generator.load_weights(self.weights)(self.pictures)}

    def export(self, name: str) -> Path:
        path = self.folder / name
        export_network(self.name, path, self.weights)
        assert list(self.folder.glob(".*")) == []
        return path

    def check(self, outputs: dict[str, np.ndarray], batch: int) -> None:
        assert list(outputs) == list(self.expected)
        for name, value in outputs.items():
            expected = self.expected[name][:batch].numpy()
            # PRNet's own rounding, against float64, is 4e-5 at most and 4e-6 on average.
            errors = np.abs(value - expected) / max(1, np.abs(expected).max())
            assert value.shape == expected.shape and errors.max() < 1e-4 and errors.mean() < 1e-5, name


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp("export"))


@pytest.mark.parametrize("case", CASES[:-1], indirect=True)
def test_onnx_file_gives_the_networks_outputs_for_any_batch(case: Case) -> None:
    runtime = pytest.importorskip(
        "onnxruntime", reason="running ONNX needs the package onnxruntime (the extra 'test')"
    )
    path = case.export("network.onnx")
    assert [file.name for file in case.folder.glob("network.onnx*")] == ["network.onnx"]
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == [case.input]
    assert session.get_modelmeta().custom_metadata_map.items() >= {**case.metadata, "network": case.name}.items()
    for batch in BATCHES:
        values = session.run(None, {case.input: case.pictures[:batch].numpy()})
        case.check(dict(zip([value.name for value in session.get_outputs()], values, strict=True)), batch)


@torch.no_grad()
def test_torch_program_gives_the_networks_outputs_for_any_batch(case: Case) -> None:
    path = case.export("network.pt2")
    extra = {DESCRIPTION: ""}
    program = torch.export.load(path, extra_files=extra)
    description = json.loads(extra[DESCRIPTION])
    assert list(description["input"]) == [case.input] and list(description["outputs"]) == list(case.expected)
    network = program.module()
    for batch in BATCHES:
        outputs = network(case.pictures[:batch])
        case.check({name: value.numpy() for name, value in outputs.items()}, batch)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AssetError, match=r"pip install 'facerecon-ray\[onnx\]'"):
        export_network("rotator", tmp_path / "rotator.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def rotator(tmp_path: Path) -> Path:
    path = tmp_path / "rotator.safetensors"
    path.write_bytes(weight_bytes(view_generator.ViewGenerator().state_dict(), "rotator", {}))
    return path


def test_weights_of_another_network_are_refused(tmp_path: Path, rotator: Path) -> None:
    with pytest.raises(AssetError, match="of another network"):
        export_network("prnet", tmp_path / "prnet.pt2", rotator)
    assert not (tmp_path / "prnet.pt2").exists()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"rotator weights .*nothing\.safetensors: no such file"):
        export_network("rotator", tmp_path / "rotator.pt2", tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    ("name", "file", "file_format", "message"),
    [
        ("face", "face.onnx", None, "network 'face': choose detector, fitter, two-view, prnet, rotator"),
        ("rotator", "rotator.bin", None, r"rotator\.bin: its name ends in neither \.onnx nor \.pt2"),
        ("rotator", "rotator.bin", "tflite", "format 'tflite': choose onnx or torch"),
    ],
)
def test_unknown_networks_and_formats_say_what_there_is(
    tmp_path: Path, name: str, file: str, file_format: str | None, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        export_network(name, tmp_path / file, None, file_format)


def test_unwritable_output_is_one_clear_error(tmp_path: Path, rotator: Path) -> None:
    (tmp_path / "folder.pt2").mkdir()
    for output in (tmp_path / "folder.pt2", tmp_path / "nowhere" / "rotator.pt2"):
        with pytest.raises(OutputError, match="cannot write"):
            export_network("rotator", output, rotator)
