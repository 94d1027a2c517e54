"""Settings of the main job: what a YAML job file of `facerecon reconstruct` may say.

Text under a field is its documentation.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from facerecon_ray.config.settings import AbsolutePath, Names, PoolSettings, Settings
from facerecon_ray.config.storage import Location, S3Settings


class ReadSettings(Settings):
    max_pixels: int = Field(default=100_000_000, gt=0)
    """Photos with more pixels than this are refused before they are decoded (decompression bombs)."""
    max_bytes: int = Field(default=200_000_000, gt=0)
    """Files larger than this are refused before they are read."""
    max_side: int = Field(default=8192, ge=256)
    """Photos are decoded with at most this many pixels on their longer side, whatever `crop.smallest_face` asks
    for."""
    frames_per_second: float = Field(default=2.0, ge=0.0, le=60.0)
    """Frames of a clip that are read, a second of it; 0 passes clips over."""
    threads: int = Field(default=8, ge=1)
    """Photos that a worker reads at the same time."""


class CropSettings(Settings):
    detector: Literal["cascade", "mmod", "dlib-mmod", "dlib-hog"] = "cascade"
    """cascade: a small network proposes places and dlib's CNN detector decides on each, so faces of any size and roll
    are found; mmod: dlib's CNN detector over the whole photo, in torch; dlib-mmod: the same run by dlib; dlib-hog:
    dlib's HOG detector. The last three find upright faces."""
    smallest_face: float | None = Field(default=None, ge=6.0)
    """Side of the smallest faces that are wanted, from above the brows to the chin, in pixels of the original photo,
    which is decoded as large as they ask for. Without a number 24, and in photos of more than 2,400 pixels a hundredth
    of the longer side. Half the number costs up to four times the time. Only cascade finds faces this small."""
    detection_side: int = Field(default=640, ge=128)
    """For the others: they see the photo with this many pixels on its longer side, small photos at most doubled; faces
    of less than 80 of these pixels are not found."""
    min_score: float = 0.0
    """Detections with a lower score are dropped."""
    landmarks: Literal["network", "dlib"] = "network"
    """What finds the landmarks. network: the fitter, at any yaw; dlib: dlib's predictor, good to about 40 degrees."""
    landmark_model: AbsolutePath | None = None
    """For dlib: a shape predictor with 68 points; without one, the predictor that comes with the installation."""
    texture_side: int = Field(default=1024, ge=256, le=4096)
    """Most pixels on a side of a face's texture, which is as fine as the photo shows the face and no finer; with 256,
    as fine as the crop that the networks see."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class FitSettings(Settings):
    method: Literal["network", "landmarks"] = "network"
    """How the face model is fitted. network: the fitter looks at the crop; landmarks: to the landmarks alone, with any
    face model."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class RotateSettings(Settings):
    yaw_change: float = Field(default=30.0, ge=0.0, le=90.0)
    """Degrees by which a face is turned: to the side when it is nearer to frontal, else to the front."""
    repair: Literal["network", "fill"] = "fill"
    """What is done about pixels that the photo did not see. fill: the mirrored half of the face, then smooth colours;
    network: a generator repairs the filled view."""
    weights: AbsolutePath | None = None
    """Weights of the generator (.safetensors); without them, those that come with the package."""
    keep_pitch: bool = False
    """Keep the photo's pitch in the rotated view instead of setting it to 0 as the published method does."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class ReconstructSettings(Settings):
    method: Literal["fitted", "two-view", "prnet"] = "fitted"
    """fitted: the fitted face model as a position map; two-view: the network on the crop, its rotated view and the
    fitted face; prnet: the single-image network on the crop."""
    weights: AbsolutePath | None = None
    """Weights of the network (.safetensors); without them, those that come with the package."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class ExportSettings(Settings):
    format: Literal["glb", "obj", "ply"] = "glb"
    """glb in metres, with a texture; obj and ply in millimetres, with a colour for each vertex; all with y up and the
    face looking along +z."""
    topology: Literal["auto", "smooth", "dense", "model"] = "auto"
    """smooth: the face model's triangles, the outer ones drawn in to a smooth border; dense: the same border, and one
    vertex for each pixel of the position map's mask; model: the face model's own vertices; auto: smooth where the file
    has a texture, dense where the vertices carry the colours."""
    previews: bool = True
    """Write a preview picture of every face."""
    meshes: bool = True
    """Write a mesh of every face. Without, the manifest's rows are what comes out, and `facerecon export` makes meshes
    of them later, with method fitted."""

    pack: Literal["none", "shard"] = "none"
    """shard: one tar for all meshes and previews of a shard, in WebDataset's layout, in place of a file for each; the
    manifest has their places in it. For buckets, where many small objects are slow and dear."""

    @model_validator(mode="after")
    def _packs_hold_something(self) -> Self:
        if self.pack == "shard" and not (self.meshes or self.previews):
            raise ValueError(
                "pack: with meshes and previews both false there is nothing to pack; leave out export.pack"
            )
        return self

    @property
    def vertices(self) -> Literal["smooth", "dense", "model"]:
        """The topology, auto resolved."""
        if self.topology == "auto":
            return "smooth" if self.format == "glb" else "dense"
        return self.topology


class PeopleSettings(Settings):
    enabled: bool = False
    """Store with every face what `facerecon people` needs: who it is, as dlib's face recognition network describes it,
    and what its photo tells of its shape. Both are biometric data (docs/privacy.md)."""


class PoolsSettings(Settings):
    """Workers of each stage, in the chain's order; a stage has the same name here as its own settings have."""

    read: PoolSettings = PoolSettings()
    crop: PoolSettings = PoolSettings()
    fit: PoolSettings = PoolSettings()
    rotate: PoolSettings = PoolSettings()
    reconstruct: PoolSettings = PoolSettings()
    export: PoolSettings = PoolSettings()


class ReportSettings(Settings):
    gallery_faces: int = Field(default=200, ge=0)
    """Faces shown in index.html; each costs about 160 KB for its interactive view."""
    progress_seconds: float = Field(default=10.0, gt=0.0)
    """Without a terminal, a line of progress is printed every so many seconds."""


class FaultSettings(Settings):
    batch_seconds: float = Field(default=600.0, gt=0.0, le=1500.0)
    """A worker that needs longer for one batch is ended; the photos of the batch are then tried one by one, and a
    photo that twice more takes as long, or ends its process, becomes a failed row."""


class ChainSettings(Settings):
    """What the stages of the main job are told (`stages.chain`), wherever they run."""

    pairs: bool = False
    """Whether the input is a list of pairs: a CSV with the columns front and side, two photos of one person each."""
    face_model: AbsolutePath | None = None
    """A face model (.npz); without one, the embedded model is used."""
    fitter: AbsolutePath | None = None
    """Weights of the fitter (.safetensors) for the face model; without them, those that come with the package."""
    s3: S3Settings = Field(default_factory=S3Settings)
    read: ReadSettings = ReadSettings()
    crop: CropSettings = CropSettings()
    fit: FitSettings = FitSettings()
    rotate: RotateSettings = RotateSettings()
    reconstruct: ReconstructSettings = ReconstructSettings()
    export: ExportSettings = ExportSettings()
    people: PeopleSettings = PeopleSettings()


def of_today(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a run's record has them; earlier versions had the fit's among those of the rotate stage."""
    rotate = {**settings.get("rotate", {})}
    if "fit" not in rotate:
        return settings
    fit = {"method": rotate.pop("fit"), "device": rotate["device"]}
    return {**settings, "fit": fit, "rotate": rotate}


class ReconstructJob(ChainSettings):
    """Everything that `facerecon reconstruct` can be told by a job file."""

    command: ClassVar[str] = "reconstruct"

    input: Annotated[str, Names.FILE]
    """A photo, a clip, a tar archive, a Parquet file with pictures, a folder, a pattern, or a list of photos (.txt,
    .csv, .parquet); a path or s3://bucket/..."""
    output: Location
    """Folder or s3://bucket/prefix for meshes, manifest and gallery."""
    limit: int | None = Field(default=None, ge=1)
    """Stop after this many photos."""
    shard_photos: int = Field(default=256, ge=16)
    """Photos whose rows come into the manifest together; the first shards of a job are smaller. What a killed run has
    not brought there is done again."""
    faults: FaultSettings = FaultSettings()
    report: ReportSettings = ReportSettings()
    pools: PoolsSettings = PoolsSettings()

    @model_validator(mode="after")
    def _devices_follow_pools(self) -> Self:
        """A pool without GPUs sees none."""
        for name in PoolsSettings.model_fields:
            pool: PoolSettings = getattr(self.pools, name)
            device: str = getattr(getattr(self, name), "device", "")
            if device.startswith("cuda") and pool.gpus == 0:
                raise ValueError(f"{name}.device is {device}, but pools.{name}.gpus is 0")
        return self

    @model_validator(mode="after")
    def _people_take_textures_from_meshes(self) -> Self:
        if self.people.enabled and not self.export.meshes:
            raise ValueError(
                "people.enabled: people's textures are made of those of their faces' meshes, which a job with "
                "export.meshes false does not write; leave out one of the two"
            )
        if self.people.enabled and self.export.format != "glb":
            raise ValueError(
                f"people.enabled: people's textures are made of those of their faces' meshes, which "
                f"{self.export.format} files do not have; choose export.format glb"
            )
        return self
