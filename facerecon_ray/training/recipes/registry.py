"""Which recipe belongs to which network."""

from typing import cast

import torch

from facerecon_ray.config.training import (
    DetectorTraining,
    FitterTraining,
    PositionMapTraining,
    RotatorTraining,
    TrainJob,
)
from facerecon_ray.training.recipes import position_maps
from facerecon_ray.training.recipes.detector import DetectorRecipe
from facerecon_ray.training.recipes.fitter import FitterRecipe
from facerecon_ray.training.recipes.recipe import Recipe
from facerecon_ray.training.recipes.rotator import RotatorRecipe


def columns_of(job: TrainJob) -> tuple[str, ...]:
    """Columns of the data that a network's training needs."""
    if isinstance(job, PositionMapTraining):
        return position_maps.columns(job)
    if isinstance(job, FitterTraining):
        return FitterRecipe.columns
    if isinstance(job, DetectorTraining):
        return DetectorRecipe.columns
    return RotatorRecipe.columns


def build_recipe(job: TrainJob, device: torch.device) -> Recipe:
    """The recipe of a network, its modules with the weights that they begin with."""
    if isinstance(job, PositionMapTraining):
        return position_maps.PositionMapRecipe(job, device)
    if isinstance(job, FitterTraining):
        return FitterRecipe(job, device)
    if isinstance(job, DetectorTraining):
        return DetectorRecipe(job, device)
    return RotatorRecipe(cast(RotatorTraining, job), device)
