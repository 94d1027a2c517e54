"""Settings of the jobs: what a YAML job file may say. Text under a field is its documentation."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from facerecon_ray.errors import SettingsError


class Settings(BaseModel):
    """Base of all settings: unknown names are errors, values are checked, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path that means the same file in every worker process; a relative one starts at the current folder."""


class ReadSettings(Settings):
    max_pixels: int = Field(default=100_000_000, gt=0)
    """Photos with more pixels than this are refused before they are decoded (decompression bombs)."""
    max_bytes: int = Field(default=200_000_000, gt=0)
    """Files larger than this are refused before they are read."""
    max_side: int = Field(default=1024, ge=256)
    """Photos are scaled down to at most this many pixels on their longer side; crops are cut from the scaled photo."""


class CropSettings(Settings):
    detector: Literal["mmod", "dlib-mmod", "dlib-hog"] = "mmod"
    """mmod: dlib's CNN detector run in torch; dlib-mmod: the same run by dlib; dlib-hog: dlib's HOG detector."""
    detection_side: int = Field(default=640, ge=128)
    """The detector sees the photo with this many pixels on its longer side, small photos at most doubled; faces of
    less than 80 of these pixels are not found."""
    min_score: float = 0.0
    """Detections with a lower score are dropped."""
    landmark_model: AbsolutePath | None = None
    """A dlib shape predictor with 68 points; without one, the predictor that comes with the installation is used."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class RotateSettings(Settings):
    yaw_change: float = Field(default=30.0, ge=0.0, le=90.0)
    """Degrees by which a face is turned: to the side when it is nearer to frontal, else to the front."""
    keep_pitch: bool = False
    """Keep the photo's pitch in the rotated view instead of setting it to 0 as the published method does."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class ReconstructSettings(Settings):
    method: Literal["fitted", "two-view"] = "fitted"
    """fitted: the fitted face model as a position map; two-view: the network on the crop and its rotated view."""
    weights: AbsolutePath | None = None
    """Weights of the two-view network (.safetensors); needed by the two-view method."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class ExportSettings(Settings):
    format: Literal["glb", "obj", "ply"] = "glb"
    """glb in metres; obj and ply in millimetres; all with y up and the face looking along +z."""
    topology: Literal["dense", "model"] = "dense"
    """dense: one vertex for each pixel of the position map's mask; model: the face model's own vertices."""
    previews: bool = True
    """Write a preview picture of every face."""


class PoolSettings(Settings):
    """Workers of one stage."""

    workers: int = Field(default=1, ge=1)
    """Processes that run the stage."""
    cpus: float = Field(default=0.1, gt=0.0)
    """CPUs that Ray reserves for each worker; it decides how many workers fit a machine, not how fast one runs."""
    gpus: float = Field(default=0.0, ge=0.0)
    """GPUs that Ray reserves for each worker; fractions share a GPU."""
    batch_size: int = Field(default=8, ge=1)
    """Faces (photos, for read and crop) in one call."""


class PoolsSettings(Settings):
    read: PoolSettings = PoolSettings()
    crop: PoolSettings = PoolSettings(workers=2)
    rotate: PoolSettings = PoolSettings()
    reconstruct: PoolSettings = PoolSettings()
    export: PoolSettings = PoolSettings()


class ReportSettings(Settings):
    gallery_faces: int = Field(default=200, ge=0)
    """Faces shown in index.html; each costs about 300 KB for its interactive view."""


class ReconstructJob(Settings):
    """Everything that `facerecon reconstruct` can be told by a job file."""

    input: str
    """A photo, a folder, a glob pattern, or a list of photos (.txt, .csv, .parquet)."""
    output: AbsolutePath
    """Folder for meshes, manifest and gallery."""
    limit: int | None = Field(default=None, ge=1)
    """Stop after this many photos."""
    face_model: AbsolutePath | None = None
    """A face model (.npz); without one, the embedded model is used."""
    read: ReadSettings = ReadSettings()
    crop: CropSettings = CropSettings()
    rotate: RotateSettings = RotateSettings()
    reconstruct: ReconstructSettings = ReconstructSettings()
    export: ExportSettings = ExportSettings()
    report: ReportSettings = ReportSettings()
    pools: PoolsSettings = PoolsSettings()


def load_job(path: Path | None, overrides: dict[str, Any]) -> ReconstructJob:
    """Read a job file and apply overrides to it.

    Parameters
    ----------
    path : YAML file, or None for defaults
    overrides : values by dotted name, for example {"rotate.yaw_change": 20}; they win over the file

    Raises
    ------
    SettingsError
        when the file is missing or no YAML mapping, or a setting is unknown or has a value that is not allowed
    """
    tree = _read_yaml(path) if path else {}
    for name, value in overrides.items():
        node = tree
        *parents, leaf = name.split(".")
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise SettingsError(f"setting {name!r}: {parent!r} is a value, not a group of settings")
        node[leaf] = value
    try:
        return ReconstructJob.model_validate({name: value for name, value in tree.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "job"
        problem = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise SettingsError(f"setting {where!r}: {problem}") from None


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split one `--set NAME=VALUE`; the value is read as YAML, so numbers and true/false have their types."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {text!r}: write NAME=VALUE, for example rotate.yaw_change=20")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {text!r}: the value is not valid YAML") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise SettingsError(f"job file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError(f"job file {path}: not valid YAML") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"job file {path}: expected settings as NAME: VALUE lines")
    return tree
