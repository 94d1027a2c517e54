"""The main job's chain: the one place that says which stages there are, in which order, and how each is built.

The chain is cut into pools of workers (`pipeline.stage_plan`), or runs in one process: `in_process`, evaluation,
synthesis and training take the part of it that they need (`ChainPart`). A stage runs where what comes after it, or who
asks for the part, wants one of its columns, and no earlier stage gives it.

Loading this module loads neither torch nor a model: the driver only plans.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from facerecon_ray.config.reconstruct import ChainSettings

if TYPE_CHECKING:
    from facerecon_ray.geometry.face_model import FaceModel
    from facerecon_ray.stages.export import Exporter
    from facerecon_ray.stages.reconstruct import Reconstructor
    from facerecon_ray.stages.stage import Batch, Column

Names = frozenset[str]
"""Names of columns."""

Step = Callable[["Batch"], Any]


@dataclass(frozen=True)
class ChainStage:
    """One stage, as far as it can be known without building it.

    name   of the stage: of its settings and its pool in job files, its times in the manifest, its metrics
    does   in a few words
    row    what a row of its input is
    cost   its name in assets/stage_costs.yaml
    reads  columns that it needs, beside status and error
    gives  columns that it adds or makes better, beside status, error and its time; those that only some ask for are
           given where they are among the asked
    build  loads it: settings, the asked columns, and a face model in place of the settings'
    """

    name: str
    does: str
    row: Literal["photo", "face"]
    cost: Callable[[ChainSettings], str]
    reads: Callable[[ChainSettings], Names]
    gives: Callable[[ChainSettings, Names], Names]
    build: Callable[[ChainSettings, Names, "FaceModel | None"], Step]

    def device(self, settings: ChainSettings) -> str:
        """Where it computes: auto, cpu, cuda or cuda:N."""
        return str(getattr(getattr(settings, self.name), "device", "cpu"))


class ChainPart:
    """Some stages of the chain, one after the other in this process.

    outputs   the columns that they give

    Parameters
    ----------
    settings : of the stages
    first, last : the part's ends; stages between them whose columns nobody wants are left out
    asked : columns that are wanted of the part beside those that its last stage gives
    model : the face model, if it is loaded already, in place of the settings'

    Raises
    ------
    AssetError, SettingsError
        when a model file is missing or of another kind, or there is no such device
    """

    def __init__(
        self,
        settings: ChainSettings,
        first: ChainStage,
        last: ChainStage,
        asked: Collection[str] = (),
        model: "FaceModel | None" = None,
    ) -> None:
        stages = CHAIN[CHAIN.index(first) : CHAIN.index(last) + 1]
        wanted = frozenset(asked)
        self._steps = [stage.build(settings, wanted, model) for stage in needed(settings, wanted, stages)]

    @property
    def outputs(self) -> "dict[str, Column]":
        return {name: column for step in self._steps for name, column in step.outputs.items()}  # type: ignore[attr-defined]

    def __call__(self, batch: "Batch") -> "Batch":
        for step in self._steps:
            batch = step(batch)
        return batch


def needed(
    settings: ChainSettings, asked: Names = frozenset(), stages: Sequence[ChainStage] | None = None
) -> list[ChainStage]:
    """Stages that run, in order: the last one, and of the others those whose columns a later one, or who asks, wants.

    Parameters
    ----------
    settings : of the stages
    asked : columns that are wanted beside those of the last stage
    stages : a part of the chain; without it, all of it
    """
    chosen: list[ChainStage] = []
    wanted = asked
    for stage in reversed(CHAIN if stages is None else stages):
        if not chosen or stage.gives(settings, asked) & wanted:
            chosen.insert(0, stage)
            wanted |= stage.reads(settings)
    return chosen


def build_stage(name: str, settings: ChainSettings) -> Step:
    """Load a stage of the main job by its name, as workers do."""
    (stage,) = (stage for stage in CHAIN if stage.name == name)
    return stage.build(settings, frozenset(), None)


def reconstructor(settings: ChainSettings, model: "FaceModel | None" = None) -> "Reconstructor":
    """The reconstruct stage."""
    from facerecon_ray.stages.reconstruct import Reconstructor

    return Reconstructor(settings.reconstruct, model or settings.face_model)


def exporter(settings: ChainSettings, model: "FaceModel | None" = None) -> "Exporter":
    """The export stage, which also gives meshes and landmarks as arrays."""
    from facerecon_ray.stages.export import Exporter

    return Exporter(settings.export, model or settings.face_model)


_VIEW = frozenset({"rotated", "rotated_camera", "rotated_yaw", "visible_share"})
_MASKS = frozenset({"rotated_seen", "rotated_head"})
_FIT = frozenset({"pose", "camera", "shape", "expression"})
_PLACE = frozenset({"crop_transform", "photo_width", "photo_height"})
_SEEN = _PLACE | {"crop", "focal_length", "landmarks"}
_FACE = _SEEN | {"face_count", "face_index", "bbox", "detection_score", "detail"}
_PERSON = frozenset({"descriptor", "shape_information"})


def _with_side(settings: ChainSettings, columns: Names) -> Names:
    """Columns of a photo, in pairs also those of the side photo."""
    return columns | {f"side_{name}" for name in columns} if settings.pairs else columns


def _of_pairs(settings: ChainSettings) -> str:
    return ".pairs" if settings.pairs else ""


def _build_reader(settings: ChainSettings, asked: Names, model: "FaceModel | None") -> Step:
    from facerecon_ray.stages.read import Reader
    from facerecon_ray.stages.two_photos.read import TwoPhotoReader

    return (TwoPhotoReader if settings.pairs else Reader)(settings.read, settings.s3)


def _build_cropper(settings: ChainSettings, asked: Names, model: "FaceModel | None") -> Step:
    from facerecon_ray.geometry.crop_transform import CROP_SIZE
    from facerecon_ray.stages.crop import Cropper
    from facerecon_ray.stages.two_photos.crop import TwoPhotoCropper

    # What is finer than the crops is there for textures.
    crop = settings.crop if settings.export.meshes else settings.crop.model_copy(update={"texture_side": CROP_SIZE})
    kind = TwoPhotoCropper if settings.pairs else Cropper
    return kind(crop, settings.read, settings.fitter, model or settings.face_model)


def _build_fitter(settings: ChainSettings, asked: Names, model: "FaceModel | None") -> Step:
    from facerecon_ray.stages.fit import Fitter
    from facerecon_ray.stages.two_photos.fit import TwoPhotoFitter

    kind = TwoPhotoFitter if settings.pairs else Fitter
    return kind(settings.fit, model or settings.face_model, settings.fitter, settings.people.enabled)


def _build_rotator(settings: ChainSettings, asked: Names, model: "FaceModel | None") -> Step:
    from facerecon_ray.stages.rotate import Rotator

    return Rotator(settings.rotate, model or settings.face_model, masks=bool(asked & _MASKS))


def _build_reconstructor(settings: ChainSettings, asked: Names, model: "FaceModel | None") -> Step:
    return reconstructor(settings, model)


def _build_exporter(settings: ChainSettings, asked: Names, model: "FaceModel | None") -> Step:
    return exporter(settings, model)


def _crop_gives(settings: ChainSettings, asked: Names) -> Names:
    side = {"side_distance", *(f"side_{name}" for name in _SEEN)} if settings.pairs else set()
    return _FACE | side


def _fit_reads(settings: ChainSettings) -> Names:
    return _with_side(settings, _SEEN) | ({"side_distance"} if settings.pairs else set())


def _fit_gives(settings: ChainSettings, asked: Names) -> Names:
    fit = _FIT | {"landmarks", "fit_error", "quality"} | (_PERSON if settings.people.enabled else set())
    return fit | _VIEW | {"side_expression"} if settings.pairs else fit


def _rotate_gives(settings: ChainSettings, asked: Names) -> Names:
    """Of pairs the side photo is the second view."""
    return frozenset() if settings.pairs else _VIEW | (asked & _MASKS)


def _reconstruct_reads(settings: ChainSettings) -> Names:
    fitted = _FIT | {"crop_transform"}
    seen = {
        "fitted": fitted,
        "prnet": frozenset({"crop"}),
        "two-view": fitted | {"crop", "rotated", "rotated_camera"},
    }[settings.reconstruct.method]
    return seen | {"side_expression"} if settings.pairs and settings.reconstruct.method == "two-view" else seen


def _export_reads(settings: ChainSettings) -> Names:
    shown = _PLACE | {"crop", "position_map", "pose", "camera", "detail"}
    return shown | {"rotated"} if settings.export.previews else shown


READ = ChainStage(
    "read",
    "the bytes of each photo",
    "photo",
    cost=lambda settings: f"read{_of_pairs(settings)}",
    reads=lambda settings: _with_side(settings, frozenset({"photo_uri"})),
    gives=lambda settings, asked: _with_side(settings, frozenset({"photo_bytes"})) | {"photo_sha256"},
    build=_build_reader,
)
CROP = ChainStage(
    "crop",
    "decodes it, finds every face and its landmarks, cuts it out upright",
    "photo",
    cost=lambda settings: f"crop.{settings.crop.detector}{_of_pairs(settings)}",
    reads=lambda settings: _with_side(settings, frozenset({"photo_bytes"})),
    gives=_crop_gives,
    build=_build_cropper,
)
FIT = ChainStage(
    "fit",
    "a network and the face model find pose, camera and shape, and how far they can be trusted",
    "face",
    cost=lambda settings: f"fit{_of_pairs(settings)}",
    reads=_fit_reads,
    gives=_fit_gives,
    build=_build_fitter,
)
ROTATE = ChainStage(
    "rotate",
    "the second view: the fitted head turned, rendered with the photo's colours, and repaired",
    "face",
    cost=lambda settings: "rotate",
    reads=lambda settings: _FIT | _PLACE | {"crop"},
    gives=_rotate_gives,
    build=_build_rotator,
)
RECONSTRUCT = ChainStage(
    "reconstruct",
    "a UV position map of the face, by the fitted model or a network",
    "face",
    cost=lambda settings: f"reconstruct.{settings.reconstruct.method}",
    reads=_reconstruct_reads,
    gives=lambda settings, asked: frozenset({"position_map"}),
    build=_build_reconstructor,
)
EXPORT = ChainStage(
    "export",
    "a textured mesh, a preview, landmarks in space",
    "face",
    cost=lambda settings: f"export.{settings.export.vertices if settings.export.meshes else 'rows'}",
    reads=_export_reads,
    gives=lambda settings, asked: frozenset({"mesh", "preview", "viewer", "landmarks_3d"}),
    build=_build_exporter,
)

CHAIN = (READ, CROP, FIT, ROTATE, RECONSTRUCT, EXPORT)
"""The order, once."""
