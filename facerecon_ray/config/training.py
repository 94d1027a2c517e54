"""Settings of training: what a YAML job file of `facerecon train` may say, for each network.

Text under a field is its documentation.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from facerecon_ray.config.reconstruct import RotateSettings
from facerecon_ray.config.settings import AbsolutePath, Settings, load_job, read_job_file
from facerecon_ray.config.storage import Location, S3Settings
from facerecon_ray.config.synthesis import BackgroundSettings
from facerecon_ray.errors import SettingsError


class WorkerSettings(Settings):
    count: int = Field(default=1, ge=1)
    """Processes that train together, each on a part of the data; their gradients are averaged at every step."""
    cpus: float | None = Field(default=None, gt=0.0)
    """CPUs that Ray reserves for each worker; without a number, what the readers leave of the cluster, shared out."""
    threads: int | None = Field(default=None, ge=1)
    """Threads that each worker computes with; without a number, its CPUs rounded up."""
    gpus: float = Field(default=0.0, ge=0.0)
    """GPUs for each worker."""
    failures: int = Field(default=3, ge=0)
    """As many times lost workers are started again from the last checkpoint before the training fails."""


class OptimizerSettings(Settings):
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Largest learning rate of AdamW."""
    warmup: int = Field(default=200, ge=0)
    """Steps over which the learning rate rises to it; then it falls along a cosine, to 0 at the last step."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """step: halved at every fifth of the steps, as published; constant: no fall."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Of AdamW, for weights with two or more dimensions."""
    clip: float = Field(default=1.0, gt=0.0)
    """Gradients of a network are scaled down to this norm."""
    average: float = Field(default=0.999, ge=0.0, lt=1.0)
    """How much of the running average of the weights stays at each step; the average is what is kept as the result."""


class AugmentationSettings(Settings):
    """Random changes of a crop. A network that gets the crop by the crop rule needs no change of its place."""

    shift: float = Field(default=0.0, ge=0.0, le=0.5)
    """Largest shift along each side, as a share of the crop."""
    zoom: float = Field(default=1.0, ge=1.0, le=2.0)
    """Largest factor by which the crop is made larger or smaller, log-uniform."""
    roll: float = Field(default=0.0, ge=0.0, le=180.0)
    """Largest turn of the picture to both sides in degrees."""
    mirror: bool = False
    """Mirror half of the crops left to right."""
    channels: tuple[float, float] = (0.6, 1.4)
    """Range of the factors of the three colour channels, each for itself, as published."""
    contrast: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Largest change of contrast, as a share."""
    grey_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the crops in shades of grey."""
    blur_share: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of the crops that lose resolution."""
    noise: float = Field(default=0.03, ge=0.0, le=0.5)
    """Largest noise, as a share of white."""
    erase_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of the crops of which a rectangle is covered."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the input's pixels that are set to 0, as published."""


class DataSettings(Settings):
    shuffle_rows: int = Field(default=512, ge=1)
    """Rows among which each worker draws the next ones; the order of the shards is random besides."""
    readers: int = Field(default=1, ge=1)
    """Shards that are read and decoded at the same time, each on a CPU of its own where there is one."""


class TrainJob(Settings):
    """What `facerecon train` can be told whatever it trains."""

    command: ClassVar[str] = "train"

    network: str
    """What is trained; the classes below say what."""
    data: Location
    """Data set that `facerecon synthesize` made: a folder, or s3://BUCKET/PREFIX."""
    output: Location
    """Folder or s3://BUCKET/PREFIX for checkpoints, weights, logs and pictures."""
    init: AbsolutePath | None = None
    """Weights (.safetensors) to begin with; where a shape differs, that part begins at random."""
    steps: int = Field(default=20_000, ge=1)
    """Steps of the optimizer in all; a run that goes on counts on from where it was."""
    batch_size: int = Field(default=64, ge=1)
    """Rows of each worker in one step."""
    validate_every: int = Field(default=1000, ge=1)
    """Steps between two validations; at each a checkpoint is written."""
    validation_rows: int = Field(default=512, ge=1)
    """Rows of the validation split that are used."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """bfloat16: mixed precision; auto: mixed where the hardware multiplies bfloat16."""
    compile: bool = False
    """Compile the networks with torch.compile; on CPUs that needs a C++ compiler."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of initial weights, order and augmentation."""
    device: str = "auto"
    """auto: the GPU where the workers have one; cpu, cuda."""
    workers: WorkerSettings = WorkerSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    data_stream: DataSettings = DataSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    mlflow: str | None = None
    """Tracking URI of an MLflow server, for figures beside TensorBoard's."""
    s3: S3Settings = Field(default_factory=S3Settings)

    @model_validator(mode="after")
    def _warm_up_in_time(self) -> Self:
        if self.optimizer.warmup >= self.steps:
            raise ValueError(f"optimizer.warmup {self.optimizer.warmup} must be less than steps {self.steps}")
        return self


class FitterLosses(Settings):
    """Weights of what the fitter is to get right; distances count in crop pixels."""

    vertices: float = Field(default=1.0, ge=0.0)
    """Distance of the true face's vertices in the picture, with their depth, as the pose has them."""
    landmarks: float = Field(default=1.0, ge=0.0)
    """Distance of the landmarks that are found by themselves, besides that of all points."""
    points: float = Field(default=1.0, ge=0.0)
    """Distance of all points that are found by themselves, landmarks and dense ones."""
    likelihood: float = Field(default=1.0, ge=0.0)
    """Negative log-likelihood of their errors under their own deviations."""
    maps: float = Field(default=3.0, ge=0.0)
    """Cross entropy of their heat maps to Gaussians around the true places."""
    shape: float = Field(default=2.0, ge=0.0)
    """Millimetres by which the face is off that follows from the points, without its expression, root mean square."""
    expression: float = Field(default=2.0, ge=0.0)
    """The same for the expression."""
    portraits: float = Field(default=0.3, ge=0.0)
    """How far points and faces that are found in portraits are from what many looks at them said: pixels and
    millimetres."""


class FitterTraining(TrainJob):
    """Trains the fitter."""

    network: Literal["fitter"] = "fitter"
    losses: FitterLosses = FitterLosses()
    face_model: AbsolutePath | None = None
    """The face model whose coefficients the data have; without one, the embedded model."""
    dense_points: int | None = Field(default=32, ge=1)
    """So many of the dense points are learnt at a step besides those from which shape and expression follow, drawn
    anew for each; null: all."""
    portraits: AbsolutePath | None = None
    """Folder of photos of real people of whom no truth is known: faces are to stay what they are, whatever the crop,
    the light and the blur. What the weights of `init`, or those that come with the package, say of each in many looks
    is taken for the truth."""
    portrait_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Portraits in a step besides its rows, as a share of those, where there are any."""
    augmentation: AugmentationSettings = AugmentationSettings(shift=0.1, zoom=1.25, roll=20.0)


class MapLosses(Settings):
    mask: Literal["uniform", "regions"] = "uniform"
    """How the UV pixels count in the position map's mean squared error. uniform: alike, as published for the two-view
    network; regions: PRNet's weights 16:4:3:0 for landmarks, eyes, nose and mouth, the rest of the face, and the
    outside."""


class PositionMapTraining(TrainJob):
    """What the networks that regress position maps have in common."""

    batch_size: int = Field(default=16, ge=1)
    losses: MapLosses = MapLosses()
    face_model: AbsolutePath | None = None
    """The face model whose UV layout the data have; without one, the embedded model."""


class TwoViewTraining(PositionMapTraining):
    """Trains the two-view network."""

    network: Literal["two-view"] = "two-view"
    fit: bool = True
    """Let the network see the views laid out by the fitted face and correct its position map, instead of regressing
    the map from the pictures alone as published."""
    rotate: RotateSettings = RotateSettings()
    """How the data's partners were turned; yaw_change and keep_pitch count."""


class PrnetTraining(PositionMapTraining):
    """Trains PRNet, the single-image baseline."""

    network: Literal["prnet"] = "prnet"


class RotatorLosses(Settings):
    """Weights of the parts of the generator's loss."""

    adversarial: float = Field(default=0.05, ge=0.0)
    """Hinge loss against the discriminators."""
    features: float = Field(default=0.5, ge=0.0)
    """Feature matching: distance of the discriminators' inner features to those of the real picture."""
    reconstruction: float = Field(default=10.0, ge=0.0)
    """Absolute difference to the true rotated view, or where there is none, to the photo after turning there and
    back."""
    seen: float = Field(default=5.0, ge=0.0)
    """Absolute difference to the render on the pixels that the photo saw."""
    identity: float = Field(default=5.0, ge=0.0)
    """How far dlib's face recognition network finds the repaired view from the crop: 1 minus the cosine between their
    descriptors, as TP-GAN's identity loss (Huang et al. 2017)."""


class RotatorTraining(TrainJob):
    """Trains the generator that repairs rotated views, with its discriminators."""

    network: Literal["rotator"] = "rotator"
    regime: Literal["supervised", "self-supervised", "both"] = "supervised"
    """supervised: on true rotated views. self-supervised: photos only, turned there and back and compared with the
    original, as Rotate-and-Render does. both: each on half of the rows."""
    batch_size: int = Field(default=8, ge=1)
    losses: RotatorLosses = RotatorLosses()
    face_model: AbsolutePath | None = None
    """The face model that is fitted; without one, the embedded model."""
    fitter: AbsolutePath | None = None
    """Weights of the fitter that turning there and back and the identity use; without them, those that come with the
    package."""
    rotate: RotateSettings = RotateSettings()
    """How far photos are turned there; yaw_change and keep_pitch count."""
    augmentation: AugmentationSettings = AugmentationSettings(mirror=True, channels=(0.8, 1.25))
    """Alike for all pictures of a row; mirror and channels count."""


class CrowdSettings(Settings):
    """Scenes that are composed of single faces."""

    side: int = Field(default=128, ge=64, multiple_of=16)
    """Width and height of a scene in pixels."""
    faces: float = Field(default=5.0, gt=0.0)
    """Faces in a scene on average, Poisson-distributed: some scenes have none."""
    sizes: tuple[float, float] = (9.5, 75.0)
    """Range of the faces' sizes in pixels, log-uniform; the network is to see those of 11 to 52 pixels."""
    upright_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the faces within some 15 degrees of upright; the others are turned by any angle."""
    beside_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of the faces that stand close to another one, up to cheek to cheek."""
    distractors: float = Field(default=0.4, ge=0.0)
    """Things with a face's outline or colours before and after each face, on average."""
    dark_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Share of the scenes that are underexposed."""


class DetectorLosses(Settings):
    """Weights of what the proposer is to get right."""

    middles: float = Field(default=1.0, ge=0.0)
    """Focal loss of the map of middles."""
    places: float = Field(default=0.5, ge=0.0)
    """Absolute error of a middle's place in cells."""
    sizes: float = Field(default=2.0, ge=0.0)
    """Absolute error of the logarithm of a face's size."""
    rolls: float = Field(default=1.0, ge=0.0)
    """1 minus the cosine of the error of a face's roll, and how far its two numbers are from a circle."""


class DetectorTraining(TrainJob):
    """Trains the proposer of the face detector."""

    network: Literal["detector"] = "detector"
    portraits: AbsolutePath | None = None
    """Folder of photos of real people, a face each; dlib's detector says where. Without one, synthetic faces only."""
    portrait_share: float = Field(default=0.4, ge=0.0, le=1.0)
    """Share of the faces that are from the portraits, where there are any."""
    backgrounds: BackgroundSettings = BackgroundSettings(folder_share=0.75)
    """Pictures without people."""
    background_count: int = Field(default=160, ge=1)
    """Backgrounds that a worker keeps, of which scenes show parts."""
    crowds: CrowdSettings = CrowdSettings()
    losses: DetectorLosses = DetectorLosses()
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=2e-3)
    augmentation: AugmentationSettings = AugmentationSettings(
        grey_share=0.25, blur_share=0.3, noise=0.06, erase_share=0.0
    )
    """Of whole scenes; channels, contrast, grey_share, blur_share and noise count."""


NETWORKS: dict[str, type[TrainJob]] = {
    kind.model_fields["network"].default: kind
    for kind in (DetectorTraining, FitterTraining, TwoViewTraining, PrnetTraining, RotatorTraining)
}
"""Settings of each network's training, by the name that the command line knows."""

SMOKE: dict[str, object] = {
    "steps": 12,
    "batch_size": 4,
    "validate_every": 6,
    "validation_rows": 4,
    "optimizer.warmup": 2,
    "optimizer.average": 0.8,
}
"""What the preset `smoke` sets."""


def training_kind(network: str | None) -> type[TrainJob]:
    """Settings of a network's training.

    Raises
    ------
    SettingsError
        when there is no such network
    """
    if not isinstance(network, str) or network not in NETWORKS:
        named = "no network is named" if network is None else f"network {network!r}"
        raise SettingsError(f"{named}: choose from {', '.join(NETWORKS)}")
    return NETWORKS[network]


def train_job(network: str | None, preset: str | None, path: Path | None, overrides: dict[str, Any]) -> TrainJob:
    """Settings of a training: those of the command line, before the preset's, before the job file's.

    Parameters
    ----------
    network : what is trained; without a name, what the job file names
    preset : smoke, or none
    path : job file
    overrides : values by dotted name

    Raises
    ------
    SettingsError
        when there is no such network or preset, or a setting is not allowed
    """
    if preset not in (None, "smoke"):
        raise SettingsError(f"preset {preset!r}: there is smoke")
    named = read_job_file(path).get("network") if path else None
    kind = training_kind(network or named)
    if named not in (None, kind.model_fields["network"].default):
        raise SettingsError(f"job file {path}: it trains {named}, not {network}")
    usual = SMOKE if preset else {}
    return load_job(kind, path, {**usual, **overrides})
