"""Shadows that hair, hats, glasses and clothes cast on a head: soft ones, from few directions and coarse maps.

Every head is dressed differently, so this is worked out for each and has to be cheap: vertices are splatted, not
rasterized, into one small map for each direction.
"""

from functools import lru_cache

import numpy as np
import torch
from scipy import sparse
from torch.nn.functional import max_pool2d

COARSE_DIRECTIONS = 72
MAP_SIZE = 56
MAP_SPAN = 0.40
"""Metres that a map shows, the head's origin in its middle."""

CLEARANCE = 0.005
"""Metres that something must lie above a vertex to shadow it."""

DENSITY = 0.85
"""Share of the light that what is splatted keeps away: hair and the gaps between vertices let some through."""


def fibonacci_sphere(count: int) -> np.ndarray:
    """(count, 3) float32 unit vectors spread evenly over the sphere on a spiral, from +y to -y."""
    index = np.arange(count) + 0.5
    height = 1.0 - 2.0 * index / count
    around = np.pi * (1.0 + 5.0**0.5) * index
    ring = np.sqrt(1.0 - height**2)
    return np.stack([ring * np.cos(around), height, ring * np.sin(around)], 1).astype(np.float32)


def cast_shadows(
    casters: np.ndarray, surface: np.ndarray, smoothing: sparse.csr_array, towards: np.ndarray
) -> np.ndarray:
    """How much of the light from each direction things above a surface keep away.

    Parameters
    ----------
    casters : (C, 3) vertices of the things, metres, head frame
    surface : (M, 3) where the shadows fall
    smoothing : (M, M) averages over neighbouring vertices of the surface
    towards : (K, 3) directions to the light

    Returns
    -------
    (M, K) float32, 0 where all light arrives
    """
    frames, middle = _frames(), len(surface)
    if len(casters) == 0:
        return np.zeros((middle, len(towards)), np.float32)
    points = torch.from_numpy(np.concatenate([surface, casters]).astype(np.float32))
    across, up, depth = (points @ axis for axis in torch.from_numpy(frames))
    column, row = (((place / MAP_SPAN + 0.5) * MAP_SIZE).long().clamp(0, MAP_SIZE - 1) for place in (across, up))
    cell = row * MAP_SIZE + column
    nearest = torch.full((MAP_SIZE * MAP_SIZE, COARSE_DIRECTIONS), -1.0)
    nearest.scatter_reduce_(0, cell[middle:], depth[middle:], "amax")
    maps = nearest.T.reshape(1, COARSE_DIRECTIONS, MAP_SIZE, MAP_SIZE)
    grown = max_pool2d(maps, 3, stride=1, padding=1)[0].flatten(1).T
    hidden = grown.gather(0, cell[:middle]) > depth[:middle] + CLEARANCE
    soft = smoothing @ (smoothing @ (smoothing @ hidden.float().numpy()))
    return soft @ (DENSITY * _spread(towards.tobytes()))


@lru_cache(maxsize=1)
def _frames() -> np.ndarray:
    """(3, 3, D) across, up and towards the light for each coarse direction, as columns."""
    towards = fibonacci_sphere(COARSE_DIRECTIONS)
    across = np.cross((0.0, 1.0, 0.0), towards)
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack([across.T, np.cross(towards, across).T, towards.T]).astype(np.float32)


@lru_cache(maxsize=2)
def _spread(towards: bytes) -> np.ndarray:
    """(D, K) weights of the coarse directions around each fine one."""
    fine = np.frombuffer(towards, np.float32).reshape(-1, 3)
    near = np.exp(COARSE_DIRECTIONS / 3.0 * (fibonacci_sphere(COARSE_DIRECTIONS) @ fine.T - 1.0))
    return (near / near.sum(0)).astype(np.float32)
