"""Settings of synthetic training data: what a YAML job file of `facerecon synthesize` may say.

Text under a field is its documentation.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.config.photos import PhotoTextureSettings, ProfilingSettings
from facerecon_ray.config.reconstruct import FitSettings, RotateSettings
from facerecon_ray.config.settings import AbsolutePath, PoolSettings, Settings
from facerecon_ray.config.storage import Location, S3Settings


class PairSettings(Settings):
    partners: bool = True
    """Make the rotated partner and the true rotated view of each photo. Networks that see the photo alone, the fitter
    and prnet, learn as well without, and the data are made in half the time."""
    landmarks: Literal["predicted", "noisy", "exact"] = "predicted"
    """What the fit stage is given where it fits landmarks (`fit.method`), as it always does for imported meshes,
    whose face model is another; the fitter looks at the photo itself. predicted: what dlib's predictor finds in the
    photo; noisy: the true landmarks with that predictor's measured errors; exact: the true landmarks."""
    predicted_yaw: float = Field(default=45.0, ge=0.0, le=90.0)
    """Beyond this yaw, where the predictor's points collapse, predicted means noisy."""
    landmark_model: AbsolutePath | None = None
    """A dlib shape predictor with 68 points; without one, the predictor that comes with the installation is used."""


class SplitSettings(Settings):
    validation: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the subjects that are for validation."""
    test: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the subjects that are for tests; the others are for training."""

    @model_validator(mode="after")
    def _leave_some(self) -> Self:
        if self.validation + self.test > 1.0:
            raise ValueError("validation and test together are more than 1")
        return self


class ShardSettings(Settings):
    subjects: int = Field(default=16, ge=1, le=128)
    """Subjects in one shard file; one of eight views takes about 1.5 MB."""
    images: Literal["jpeg", "png"] = "jpeg"
    """jpeg: of quality 95 with colours at full resolution; png: without loss, three times as large."""


class ViewSettings(Settings):
    yaws: tuple[float, ...] = (-90.0, -67.5, -45.0, -22.5, 0.0, 22.5, 45.0, 67.5)
    """Lower ends of the yaw bins in degrees; each subject is photographed once in each."""
    yaw_noise: float = Field(default=22.5, ge=0.0, le=90.0)
    """Degrees, uniform from 0, added to the bin's yaw."""
    pitch: float = Field(default=25.0, ge=0.0, le=60.0)
    """Largest pitch up and down from a level look in degrees, uniform."""
    roll: float = Field(default=25.0, ge=0.0, le=90.0)
    """Largest roll to both sides in degrees, uniform."""
    size: int = Field(default=320, ge=64, le=2048)
    """Width and height of the photo in pixels."""
    pixels_per_metre: tuple[float, float] = (780.0, 1080.0)
    """Range of the head's size in a photo of 320 pixels, at the head's distance; a face of 0.15 m fills the crop's
    share of the picture at about 970. It grows with the size of the photo."""
    distance: tuple[float, float] = (0.4, 5.0)
    """Range of the camera's distance from the head in metres, log-uniform: 0.4 m is a selfie, with its large nose, and
    5 m a long lens. The focal length follows from it and from the head's size in the photo."""
    shift: float = Field(default=0.06, ge=0.0, le=0.5)
    """Largest distance of the head from the middle of the photo, as a share of its size, along each side."""


class LightSettings(Settings):
    unevenness: float = Field(default=0.5, ge=0.0, le=2.0)
    """How uneven the surrounding light is, as a share of its average: by so much it is brighter above on average, and
    around that it varies to all sides."""
    surround_tint: float = Field(default=0.08, ge=0.0, le=0.5)
    """Spread of the surrounding light's colour along warm and cold, in log of red over green."""
    key_share: float = Field(default=0.9, ge=0.0, le=1.0)
    """Share of the lights that have a lamp beside the surroundings."""
    second_lamp_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the lights that have a further lamp."""
    lamp_strength: tuple[float, float] = (0.6, 10.0)
    """Range of a lamp's light on a surface that faces it, in multiples of the surroundings', log-uniform."""
    lamp_width: tuple[float, float] = (9.0, 28.0)
    """Range of a lamp's angular size in degrees (standard deviation), log-uniform: its shadows are that soft."""
    lamp_azimuth: float = Field(default=45.0, ge=0.0, le=180.0)
    """Spread of the lamps to the side, degrees from the camera."""
    lamp_tint: float = Field(default=0.12, ge=0.0, le=0.5)
    """Spread of the lamps' colour, as for the surroundings."""


class CameraSettings(Settings):
    brightness: tuple[float, float] = (0.65, 1.6)
    """Range of the exposure around the right one, log-uniform."""
    exposure_by_skin: float = Field(default=0.55, ge=0.0, le=1.0)
    """How far the camera makes up for dark and light skin: 0 not at all, 1 in full."""
    white_balance: float = Field(default=0.07, ge=0.0, le=0.5)
    """Spread of the white balance's error, in log of red over green."""
    contrast: tuple[float, float] = (0.8, 1.25)
    """Range of the tone curve's steepness in the middle tones."""
    saturation: tuple[float, float] = (0.65, 1.25)
    """Range of the colours' strength."""
    grey_share: float = Field(default=0.07, ge=0.0, le=1.0)
    """Share of the photos in shades of grey, a third of them sepia."""
    vignette_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of the photos that get darker towards the corners."""
    blur_share: float = Field(default=0.35, ge=0.0, le=1.0)
    """Share of the photos out of focus or shaken."""
    blur: float = Field(default=1.5, ge=0.0, le=20.0)
    """Largest blur in pixels of a photo of 320 pixels."""
    low_resolution_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Share of the photos that were small and have been enlarged."""
    low_resolution: float = Field(default=0.3, gt=0.0, le=1.0)
    """Smallest share of the resolution that is left in them."""
    noise: float = Field(default=0.03, ge=0.0, le=0.5)
    """Largest sensor noise of a middle grey, as a share of white; squared-uniform, so mostly much less."""
    jpeg_share: float = Field(default=0.7, ge=0.0, le=1.0)
    """Share of the photos that were stored as JPEG."""
    jpeg_quality: tuple[int, int] = (30, 95)
    """Range of the JPEG quality."""


class BackgroundSettings(Settings):
    folder: AbsolutePath | None = None
    """Pictures to take backgrounds from; without one all are made by the project."""
    folder_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the views whose background is from the folder, if there is one."""


class OccluderSettings(Settings):
    share: float = Field(default=0.08, ge=0.0, le=1.0)
    """Share of the views in which something lies before the face: a hand, strands, a scarf, a mask, writing."""
    most: float = Field(default=0.4, ge=0.0, le=0.6)
    """Largest share of the face that it may cover."""


class SubjectSettings(Settings):
    age: tuple[float, float] = (18.0, 85.0)
    """Range of the ages in years, uniform."""
    children_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Share of the subjects that are children."""
    children_age: tuple[float, float] = (3.0, 17.0)
    """Range of the children's ages in years, uniform."""
    shape_spread: float = Field(default=1.0, ge=0.0, le=2.0)
    """Spread of people around others of their age, gender and ancestry, in standard deviations of the face model."""
    neutral_share: float = Field(default=0.25, ge=0.0, le=1.0)
    """Share of the faces without an expression."""
    beard_share: float = Field(default=0.4, ge=0.0, le=1.0)
    """Share of the men with a beard, a moustache or stubble."""
    glasses_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Share of the subjects with glasses; one in seventeen of them are sunglasses."""
    headwear_share: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the subjects with a cap, a hat, a headscarf or the like; 5 % of the photos in CelebA (Liu et al., Deep
    Learning Face Attributes in the Wild, 2015) show one."""
    make_up_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the women with make-up."""

    @model_validator(mode="after")
    def _order_ages(self) -> Self:
        for name, (youngest, oldest) in (("age", self.age), ("children_age", self.children_age)):
            if not 1.0 <= youngest <= oldest <= 90.0:
                raise ValueError(f"{name}: two ages between 1 and 90, the lower one first")
        return self


class SynthesisJob(Settings):
    """Everything that `facerecon synthesize` can be told by a job file."""

    command: ClassVar[str] = "synthesize"

    output: Location
    """A folder, or s3://BUCKET/PREFIX."""
    subjects: int | None = Field(default=None, ge=1)
    """Synthetic subjects, a photo of each in every yaw bin: 100 without a number. Of imported ones and photos, at most
    as many: all without a number."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of everything; a subject depends on it and on its own number only."""
    face_model: AbsolutePath | None = None
    """A face model (.npz) with the embedded model's mesh; without one, the embedded model."""
    fitter: AbsolutePath | None = None
    """Weights of the fitter (.safetensors) for that face model; without them, those that come with the package."""
    renderer: Literal["auto", "egl", "rasterizer"] = "auto"
    """egl draws with OpenGL, rasterizer with the project's own; auto takes the first where it starts."""
    photos: Location | None = None
    """Folder or s3://BUCKET/PREFIX of near-frontal photos from which skin textures are taken."""
    textures: PhotoTextureSettings = PhotoTextureSettings()
    imports: ImportSettings | None = None
    """Files that others made, in place of synthetic subjects."""
    profile: Location | None = None
    """Folder or s3://BUCKET/PREFIX of near-frontal photos that are turned to larger yaws, in place of synthetic
    subjects."""
    profiling: ProfilingSettings = ProfilingSettings()
    people: SubjectSettings = SubjectSettings()
    views: ViewSettings = ViewSettings()
    light: LightSettings = LightSettings()
    camera: CameraSettings = CameraSettings()
    backgrounds: BackgroundSettings = BackgroundSettings()
    occluders: OccluderSettings = OccluderSettings()
    pairs: PairSettings = PairSettings()
    fit: FitSettings = FitSettings()
    rotate: RotateSettings = RotateSettings()
    split: SplitSettings = SplitSettings()
    shards: ShardSettings = ShardSettings()
    pool: PoolSettings = PoolSettings()
    s3: S3Settings = Field(default_factory=S3Settings)

    @property
    def fits_landmarks(self) -> bool:
        """Whether landmarks are fitted; otherwise the fitter looks at the photo."""
        return self.imports is not None or self.fit.method == "landmarks"
