"""The face model that imported meshes belong to: the Basel Face Model, as .mat files or as a saved `FaceModel`."""

from dataclasses import dataclass

import numpy as np
import torch

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.errors import AssetError, PhotoError
from facerecon_ray.geometry.face_model import FaceModel

UV_NAME = "BFM_UV.mat"


def open_basel(settings: ImportSettings) -> FaceModel:
    """Load the model that the settings name.

    Raises
    ------
    AssetError
        when a file is missing or is no Basel Face Model
    """
    path = settings.face_model
    if path.suffix == ".npz":
        model = FaceModel.load(path)
    else:
        model = FaceModel.from_bfm(path, settings.face_uv or path.with_name(UV_NAME))
    if "shape_deviations" not in model.recipe:
        raise AssetError(f"{path}: imported meshes belong to the Basel Face Model; this one was made in another way")
    return model


@dataclass(frozen=True)
class RawCoefficients:
    """The model's coefficients as data sets store them: not divided by their standard deviations."""

    model: FaceModel
    shape_deviations: torch.Tensor
    expression_deviations: torch.Tensor

    @staticmethod
    def of(model: FaceModel) -> "RawCoefficients":
        """For a model that `open_basel` loaded."""
        deviations = (torch.tensor(model.recipe[f"{kind}_deviations"]) for kind in ("shape", "expression"))
        return RawCoefficients(model, *deviations)

    def vertices(self, shape: np.ndarray, expression: np.ndarray) -> torch.Tensor:
        """(1, N, 3) metres for coefficients (S,) and (E,).

        Raises
        ------
        PhotoError
            when they give no finite mesh
        """
        alpha = torch.from_numpy(shape).float() / self.shape_deviations
        epsilon = torch.from_numpy(expression).float() / self.expression_deviations
        vertices = self.model.vertices(alpha[None], epsilon[None])
        if not vertices.isfinite().all():
            raise PhotoError("the coefficients give a mesh that is not finite")
        return vertices
