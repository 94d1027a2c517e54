"""Closest points on a triangle mesh, by Open3D."""

import ctypes
import sys
from importlib.util import find_spec
from typing import Any, cast

import numpy as np

from facerecon_ray.errors import AssetError

LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libusb-1.0.so.0": "libusb-1.0-0",
}
"""What Open3D loads of a Linux system: libraries, and the Debian packages that have them."""


def require_open3d() -> None:
    """Refuse to go on where Open3D or what it needs of the system is missing, without loading it.

    Raises
    ------
    AssetError
        with the names of the packages
    """
    if find_spec("open3d") is None:
        raise AssetError("aligning meshes needs Open3D: pip install 'facerecon-ray[evaluation]'")
    missing = [name for name in LIBRARIES if sys.platform == "linux" and not _is_installed(name)]
    if missing:
        packages = " ".join(LIBRARIES[name] for name in missing)
        raise AssetError(
            f"aligning meshes needs Open3D, and that {', '.join(missing)} of the system; "
            f"on Debian and Ubuntu: sudo apt-get install {packages}"
        )


def _is_installed(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


class Surface:
    """A triangle mesh that answers which of its points is nearest; it need not be closed or clean.

    Queries run in one thread, for alignments run side by side. Open3D computes in single precision, so the mesh is
    kept about its own middle: far from the origin the digits would go to the offset.

    Parameters
    ----------
    vertices : (V, 3) any unit
    triangles : (T, 3) indices into vertices, T at least 1

    Raises
    ------
    AssetError
        when the package open3d is not installed, or misses a library of the system
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        require_open3d()
        try:
            import open3d
        except (ImportError, OSError) as error:
            raise AssetError(f"Open3D does not start ({error})") from None
        self._tensor = cast(Any, open3d.core.Tensor)
        used = np.asarray(vertices, np.float64)
        corners = used[triangles]
        self._middle = (corners.min((0, 1)) + corners.max((0, 1))) / 2
        self._normals = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        self._origin = corners[:, 0]
        self._triangles = np.asarray(triangles, np.int64)
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._tensor((used - self._middle).astype(np.float32)),
            self._tensor(np.ascontiguousarray(triangles, np.uint32)),
        )

    def closest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest points of the surface.

        Parameters
        ----------
        points : (N, 3)

        Returns
        -------
        (N, 3) float64 nearest points, (N, 3) unit normals of the triangles that they lie on
        """
        query = self._tensor((points - self._middle).astype(np.float32))
        found = self._scene.compute_closest_points(query, nthreads=1)
        nearest = found["points"].numpy().astype(np.float64) + self._middle
        triangle = found["primitive_ids"].numpy().astype(np.int64)
        normals = self._normals[triangle]
        # Single precision leaves the nearest point a little above or below its triangle; this puts it back on.
        height = ((nearest - self._origin[triangle]) * normals).sum(-1, keepdims=True)
        return nearest - height * normals, normals

    def locate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which triangle the nearest point is on, and where.

        Parameters
        ----------
        points : (N, 3)

        Returns
        -------
        (N, 3) corners of that triangle, indices into the vertices; (N, 3) float64 barycentric weights
        """
        found = self._scene.compute_closest_points(
            self._tensor((points - self._middle).astype(np.float32)), nthreads=1
        )
        along = found["primitive_uvs"].numpy().astype(np.float64)
        weights = np.concatenate([1.0 - along.sum(1, keepdims=True), along], axis=1)
        return self._triangles[found["primitive_ids"].numpy().astype(np.int64)], weights

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) distances of points (N, 3) to the surface, in its unit."""
        return np.linalg.norm(points - self.closest(points)[0], axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
