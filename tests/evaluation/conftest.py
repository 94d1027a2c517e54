import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.evaluation.embedded_subjects import embedded_scan
from facerecon_ray.evaluation.models import parse_models
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.evaluation.scan_evaluation import ScanEvaluator
from facerecon_ray.geometry.mesh_picture import MeshColours


@pytest.fixture(scope="session")
def dressed_head() -> Scan:
    """Embedded subject 3: no beard, no glasses, mouth closed."""
    pytest.importorskip("anny", reason="embedded subjects need the package anny (the extra 'synthesis')")
    return embedded_scan(3)


@pytest.fixture(scope="session")
def textured_scan(dressed_head: Scan) -> Scan:
    """The same head as a scanner would give it: one texture, in millimetres, looking up and to the side."""
    assert dressed_head.scene is not None
    parts = [part for part in dressed_head.scene.parts if part.name in ("skin", "eyes", "mouth", "teeth")]
    height, width = np.max([part.texture.shape[:2] for part in parts], axis=0)
    atlas = np.zeros((height * len(parts), width, 3), np.uint8)
    vertices, triangles, uv, first = [], [], [], 0
    for index, part in enumerate(parts):
        rows, columns = part.texture.shape[:2]
        atlas[index * height : index * height + rows, :columns] = part.texture[..., :3]
        place = part.uv.clip(0.001, 0.999) * (columns, rows) + (0, index * height)
        uv.append(place / (width, height * len(parts)))
        vertices.append(part.vertices)
        triangles.append(part.triangles + first)
        first += len(part.vertices)
    turn = Rotation.from_euler("yx", (15, -20), degrees=True).as_matrix()
    turned = 1000.0 * np.concatenate(vertices).astype(np.float64) @ turn.T + (250.0, -40.0, 900.0)
    colours = MeshColours(uv=np.concatenate(uv).astype(np.float32), textures=(atlas,))
    return Scan(turned, np.concatenate(triangles), colours)


@pytest.fixture(scope="session")
def evaluator() -> ScanEvaluator:
    """With the fitted model and the mean face, without face recognition."""
    torch.set_num_threads(1)
    return ScanEvaluator(parse_models(("fitted", "mean-face")), ProtocolSettings(recognition=False), "cpu")
