"""Phase `correct`: every path on the device against the CPU's result, within tolerances that stand here."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from facerecon_ray.config.training import NETWORKS
from facerecon_ray.geometry.rasterizer import kernels
from gpu.inputs import Inputs
from gpu.machine import Machine, Precision, precision
from gpu.paths import Arrays, Path, Paths
from gpu.report import Clock, Report, Step

PHASE = "correct"
CPU = torch.device("cpu")
ROUNDED = 20.0
"""Rounded to bfloat16, on a CPU as on a GPU, results may differ so many times as much."""


@dataclass(frozen=True)
class Tolerance:
    """How far a result may be from the CPU's.

    most   difference, in the result's unit
    share  of the values that must lie within
    scale  that results are multiplied by before
    """

    most: float
    share: float = 0.99
    scale: float = 1.0

    def holds(self, found: np.ndarray, expected: np.ndarray, factor: float) -> tuple[bool, float, float]:
        """Whether they agree, the share of values within the tolerance, and the difference that most keep to."""
        if found.shape != expected.shape:
            return False, 0.0, float("inf")
        apart = np.abs(found.astype(np.float64) - expected) * self.scale
        within = float((apart <= self.most * factor).mean())
        return within >= self.share, within, float(np.quantile(apart, self.share))


PIXEL, MILLIMETRE, LEVEL = Tolerance(0.05), Tolerance(0.1, scale=1000.0), Tolerance(1.0)
"""Landmarks within 0.05 pixels on 99 % of faces, meshes within 0.1 mm, pictures within one level of 255."""

SAME, RELATIVE = Tolerance(0.0, 1.0), Tolerance(1e-3, 1.0)

PICTURES = Tolerance(2.0, 0.98)
"""At outlines a pixel may see the other side of an edge."""


def tolerances(paths: Paths) -> dict[str, tuple[Path, dict[str, Tolerance]]]:
    """Paths by name, and how far each of their results may be from the CPU's."""
    landmarks = {"network landmarks": PIXEL, "landmarks": PIXEL, "mesh": MILLIMETRE, "pose": PIXEL}
    known: dict[str, tuple[Path, dict[str, Tolerance]]] = {
        "fitter": (paths.fitter, landmarks),
        "fit": (paths.fit, {"landmarks": PIXEL, "mesh": MILLIMETRE}),
        "detector cascade": (paths.detector("cascade"), {"boxes": Tolerance(0.5), "count": SAME}),
        "detector mmod": (paths.detector("mmod"), {"boxes": Tolerance(0.5), "count": SAME}),
        "rasterizer": (paths.rasterizer, {"triangles": SAME, "depth": SAME, "barycentric": SAME}),
        "fill": (paths.fill, {"picture": PICTURES, "seen": Tolerance(0.01, 0.98)}),
        "rotate": (paths.rotator, {"landmarks": PIXEL, "pose": PIXEL, "rotated": PICTURES}),
        "rotator": (paths.generator, {"picture": LEVEL}),
        "fitted": (paths.reconstructor("fitted"), {"map": PIXEL}),
        "two-view": (paths.reconstructor("two-view"), {"map": PIXEL}),
        "PRNet": (paths.reconstructor("prnet"), {"map": PIXEL}),
        "descriptor": (paths.descriptor, {"descriptor": Tolerance(1e-3)}),
        "rendering": (paths.rendering, {"crop": PICTURES, "landmarks": PIXEL, "shape": Tolerance(1e-4)}),
    }
    for network in NETWORKS:
        known[f"losses {network}"] = (paths.losses(network), {})
    return known


def steps(report: Report, machine: Machine, inputs: Inputs, clock: Clock) -> Iterator[Step]:
    """Compare all paths in float32, then as they are shipped."""
    if not machine.on_gpu:
        report.skip(
            PHASE,
            "the device's results",
            "no CUDA device: each path runs once, on the CPU, and is compared with nothing",
        )
    elif kernels(machine.device) is None:
        report.skip(PHASE, "the rasterizer's kernels", "Triton does not work here, see the warning; plain torch draws")
    paths = Paths(inputs, 2 if machine.quick else 64)
    modes: tuple[Precision, ...] = ("float32",) if machine.quick else ("float32", "shipped")
    for mode in modes:
        for name, (path, limits) in tolerances(paths).items():
            yield f"{name} {mode}", partial(compare, report, machine, name, path, limits, mode)


def compare(
    report: Report, machine: Machine, name: str, path: Path, limits: dict[str, Tolerance], mode: Precision
) -> None:
    """Run a path on both and report how far each result is off; without a GPU, that its results are numbers."""
    with precision(mode):
        expected = path(CPU)
        if not machine.on_gpu:
            _check_numbers(expected)
            report.result(PHASE, f"{name}: ran, compared with nothing, {mode}")
            return
        found = path(machine.device)
    for result, values in expected.items():
        tolerance = limits.get(result, None if limits else RELATIVE)
        if tolerance is None:
            continue
        if not limits:
            values, found = _relative(values, found, result)
        holds, within, apart = tolerance.holds(found[result], values, ROUNDED if mode == "shipped" else 1.0)
        report.compared(
            PHASE,
            f"{name}: {result}, {mode}",
            holds,
            within=within,
            of_values=tolerance.share,
            apart=apart,
            most=tolerance.most,
        )


def _check_numbers(results: Arrays) -> None:
    for result, values in results.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{result} has values that are no numbers")


def _relative(expected: np.ndarray, found: Arrays, result: str) -> tuple[np.ndarray, Arrays]:
    """Losses as shares of what the CPU has."""
    size = np.abs(expected).clip(1e-6)
    return expected / size, {**found, result: found[result] / size}
