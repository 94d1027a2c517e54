"""The face model's skin laid onto a scans model: `find_correspondence` for a mean head of anny's topology."""

import numpy as np

from facerecon_ray.geometry.face_model import REGIONS
from facerecon_ray.synthesis.model_building.correspondence import Correspondence, find_correspondence
from facerecon_ray.synthesis.model_building.face_layout import regions_of
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.people.head_topology import HeadTopology

EARS = REGIONS.index("ears")


def lay_skin(mean: np.ndarray, topology: HeadTopology, face: np.ndarray, scans: ScansModel) -> Correspondence:
    """Where the skin of a mean head lies on a scans model.

    Parameters
    ----------
    mean : (N, 3) the mean head on the topology's surface, metres
    topology : of the mesh
    face : (F,) the face region's triangles
    scans : the scans model
    """
    count = len(topology.kept)
    ears = regions_of(mean, topology, np.unique(topology.triangles[face]))[:count] == EARS
    rims = dict(zip(("right_eye", "left_eye", "mouth"), (topology.rim(cap) for cap in topology.caps), strict=True))
    return find_correspondence(mean[:count].astype(np.float64), topology.skin_triangles, rims, ears, scans)
