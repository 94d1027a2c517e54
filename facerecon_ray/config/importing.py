"""Settings of imports: data sets that others made, read as training data.

Text under a field is its documentation.
"""

from typing import Literal

from pydantic import Field

from facerecon_ray.config.settings import AbsolutePath, Settings


class ImportSettings(Settings):
    layout: Literal["facegen", "300wlp"]
    """facegen: N/subject_N.obj and N/render_-4.png to N/render_3.png; 300wlp: pictures with a .mat beside each."""
    folder: AbsolutePath
    """Where the files are; every worker must see them there."""
    face_model: AbsolutePath
    """The Basel Face Model, to which the files' meshes belong: BFM.mat, or a face model saved from it (.npz)."""
    face_uv: AbsolutePath | None = None
    """BFM_UV.mat; without it, the one in the folder of BFM.mat."""
    yaw_tolerance: float = Field(default=15.0, ge=0.0, le=90.0)
    """A frontal picture of 300W-LP gets a real side picture as its true rotated view where one comes as close to the
    turn that the rotate stage makes."""
    frontal_yaw: float = Field(default=30.0, ge=0.0, le=90.0)
    """A picture of 300W-LP with at most this yaw, to either side, counts as frontal."""
    largest_misfit: float = Field(default=0.1, gt=0.0)
    """Pictures of 300W-LP in which the mesh's landmarks lie further from the file's, on average and as a share of
    their box size, are left out with a reason."""
