"""Settings of `facerecon people`: what a YAML job file for it may say.

Text under a field is its documentation.
"""

from typing import ClassVar

from pydantic import Field

from facerecon_ray.config.settings import AbsolutePath, Settings
from facerecon_ray.config.storage import Location, S3Settings


class GroupingSettings(Settings):
    same_person: float = Field(default=0.42, gt=0.0, le=1.0)
    """Groups become one person when their faces' descriptors are less than this apart in the mean (root of the mean
    square over all pairs)."""
    founder_quality: float = Field(default=0.5, ge=0.0, le=1.0)
    """Faces with less quality join persons, but found none."""
    founder_yaw: float = Field(default=50.0, ge=0.0)
    """So do faces that are turned by more degrees, whom the face recognition network hardly tells apart,"""
    founder_size: float = Field(default=40.0, ge=0.0)
    """and faces with fewer photo pixels on the side of their box."""
    join_distance: float = Field(default=0.55, gt=0.0, le=1.0)
    """Such a face joins the person whose faces are less than this away in the mean,"""
    join_lead: float = Field(default=0.05, ge=0.0)
    """and nearer than those of any other person by this much."""


class PeopleJob(Settings):
    """Everything that `facerecon people` can be told by a job file."""

    command: ClassVar[str] = "people"

    input: Location
    """Output of a `facerecon reconstruct --people`: a folder or s3://bucket/prefix."""
    output: Location
    """Folder or s3://bucket/prefix for the people."""
    groups: AbsolutePath | None = None
    """A CSV with the columns photo and person that says who is who; without it faces are recognised."""
    face_model: AbsolutePath | None = None
    """The face model of the input's job (.npz); without one, the embedded model."""
    s3: S3Settings = Field(default_factory=S3Settings)
    grouping: GroupingSettings = GroupingSettings()
    gallery_people: int = Field(default=200, ge=0)
    """People shown in index.html."""
