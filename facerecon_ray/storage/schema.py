"""The manifest's row: one face, or one photo that gave no face. The only place that names its columns and types.

A column is null where a row has no such value: a photo without a face has no bbox, a face that failed has no mesh.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from facerecon_ray.config.reconstruct import PoolsSettings
from facerecon_ray.storage.arrow_columns import CAMERA, FLOATS, matrix_type, named, numbers, struct_type, texts

SCHEMA_VERSION = 1
URIS = ("mesh_uri", "preview_uri")
PLACES = tuple(f"{what}_{place}" for what in ("sample", "mesh", "preview") for place in ("offset", "length"))
WRITE = "write"
"""What comes after the last stage, in its workers: a face's files are written, and its row is made."""

TIMED_STAGES = (*PoolsSettings.model_fields, WRITE)


def time_column(stage: str) -> str:
    """Name of the column of a batch with the milliseconds that each row took in a stage."""
    return f"{stage}_ms"


MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("photo_uri", pa.string(), nullable=False),  # absolute path; file:// where it is no valid text
        pa.field("photo_width", pa.int32()),  # pixels, upright
        pa.field("photo_height", pa.int32()),
        pa.field("face_count", pa.int32(), nullable=False),  # faces found in the photo: its number of rows when > 0
        pa.field("face_index", pa.int32()),
        pa.field("status", pa.string(), nullable=False),  # ok, no_face, unreadable, failed
        pa.field("error", pa.string()),  # one sentence
        pa.field("bbox", matrix_type(4)),  # x0, y0, x1, y1 in photo pixels, turned about its middle
        pa.field("detection_score", pa.float32()),
        pa.field("crop_transform", matrix_type(2, 3)),  # photo pixels -> crop pixels
        pa.field("landmarks", matrix_type(68, 2)),  # photo pixels; as found, where the fit failed
        pa.field("pose", struct_type("yaw", "pitch", "roll")),  # degrees, in the photo
        pa.field("camera", struct_type(*CAMERA)),  # crop pixels per metre, crop pixels, 1 / metre, none
        pa.field("distance", pa.float32()),  # metres
        pa.field("focal_length", pa.float32()),  # photo pixels
        pa.field("shape", FLOATS),  # standard deviations
        pa.field("expression", FLOATS),  # standard deviations
        pa.field("fit_error", pa.float32()),
        pa.field("rotated_yaw", pa.float32()),  # degrees
        pa.field("visible_share", pa.float32()),  # of the rotated view's face pixels, those that the photo saw
        pa.field("mesh_uri", pa.string()),  # relative to the output folder
        pa.field("preview_uri", pa.string()),  # relative to the output folder
        pa.field("landmarks_3d", matrix_type(68, 3)),  # photo pixels
        pa.field("quality", pa.float32()),
        pa.field("timings", struct_type(*TIMED_STAGES)),  # milliseconds
        pa.field("side_photo_uri", pa.string()),  # of a pair
        pa.field("side_distance", pa.float32()),  # between the descriptors of the two photos' faces
        pa.field("descriptor", matrix_type(128)),  # of the face recognition network
        pa.field("shape_information", pa.binary()),  # half floats, see geometry.shape_of_person.packed
        pa.field("photo_sha256", pa.string()),  # hexadecimal digits
        *(pa.field(name, pa.int64()) for name in PLACES),  # bytes, in the pack that mesh_uri and preview_uri name
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)


def manifest_rows(batch: Mapping[str, np.ndarray]) -> pa.Table:
    """Manifest rows of a batch that has been through all stages.

    Stages fill the columns of a row that they did not process with zeros; here these become nulls.

    Parameters
    ----------
    batch : columns of the stages with B rows, and mesh_uri, preview_uri ("" where there is none); those of pairs have
        side_photo_uri and side_distance (0 where it is not known), those without a second view no rotated_yaw,
        what was not read as a file no photo_sha256, and what lies in packs PLACES, with lengths of 0 for what does not
    """
    cropped = batch["bbox"][:, 2] > batch["bbox"][:, 0]
    fitted = cropped & (batch["camera"][:, 0] > 0)
    exported = fitted & (batch["status"] == "ok")
    rows = len(cropped)
    sides, digests = (batch.get(name, np.full(rows, "", object)) for name in ("side_photo_uri", "photo_sha256"))
    apart = batch.get("side_distance", np.zeros(rows, np.float32))
    of_crop = ("bbox", "detection_score", "crop_transform", "landmarks")
    columns = {
        "photo_uri": pa.array(batch["photo_uri"], pa.string()),
        "photo_width": pa.array(batch["photo_width"], pa.int32(), mask=batch["photo_width"] <= 0),
        "photo_height": pa.array(batch["photo_height"], pa.int32(), mask=batch["photo_height"] <= 0),
        "face_count": pa.array(np.where(cropped, batch["face_count"], 0), pa.int32()),
        "face_index": pa.array(batch["face_index"], pa.int32(), mask=~cropped),
        "status": pa.array(batch["status"], pa.string()),
        **{name: texts(batch[name]) for name in ("error", *URIS)},
        "side_photo_uri": texts(sides),
        "photo_sha256": texts(digests),
        "side_distance": numbers(apart, apart > 0),
        **{name: numbers(batch[name], cropped) for name in of_crop},
        "fit_error": numbers(batch["fit_error"], fitted),
        **_of_view(batch, fitted),
        **{name: numbers(batch[name], fitted).cast(FLOATS) for name in ("shape", "expression")},
        **{name: numbers(batch[name], exported) for name in ("landmarks_3d", "quality")},
        "pose": named(batch["pose"], fitted, MANIFEST_SCHEMA.field("pose").type),
        "camera": named(batch["camera"], fitted, MANIFEST_SCHEMA.field("camera").type),
        **_lens(batch["camera"], batch["crop_transform"], fitted),
        "timings": _timings(batch, rows),
        **_places(batch, rows),
        **_of_person(batch, exported),
    }
    return pa.table({name: columns[name] for name in MANIFEST_SCHEMA.names}, schema=MANIFEST_SCHEMA)


def _of_view(batch: Mapping[str, np.ndarray], fitted: np.ndarray) -> dict[str, pa.Array]:
    """What is said of the second view, null everywhere in jobs that make none."""
    names = ("rotated_yaw", "visible_share")
    if "rotated_yaw" not in batch:
        return {name: pa.nulls(len(fitted), pa.float32()) for name in names}
    return {name: numbers(batch[name], fitted) for name in names}


def _lens(camera: np.ndarray, transform: np.ndarray, fitted: np.ndarray) -> dict[str, pa.Array]:
    """Distances in metres and focal lengths in photo pixels, null where a face was seen without perspective."""
    near = fitted & (camera[:, 3] > 0)
    distance = 1 / np.where(near, camera[:, 3], 1.0)
    scale = np.sqrt(np.abs(np.linalg.det(np.where(near[:, None, None], transform[..., :2], np.eye(2)))))
    return {"distance": numbers(distance, near), "focal_length": numbers(camera[:, 0] * distance / scale, near)}


def _of_person(batch: Mapping[str, np.ndarray], exported: np.ndarray) -> dict[str, pa.Array]:
    """What a face tells of its person, null everywhere in jobs that do not ask for it."""
    kinds = {name: MANIFEST_SCHEMA.field(name).type for name in ("descriptor", "shape_information")}
    if "descriptor" not in batch:
        return {name: pa.nulls(len(exported), kind) for name, kind in kinds.items()}
    files = [row.astype("<f2").tobytes() for row in batch["shape_information"]]
    return {
        "descriptor": numbers(batch["descriptor"], exported),
        "shape_information": pa.array(files, kinds["shape_information"], mask=~exported),
    }


def _places(batch: Mapping[str, np.ndarray], rows: int) -> dict[str, pa.Array]:
    """Where the files of faces lie in packs, null everywhere in jobs that make none."""
    if PLACES[0] not in batch:
        return {name: pa.nulls(rows, pa.int64()) for name in PLACES}
    there = {name: batch[f"{name.partition('_')[0]}_length"] > 0 for name in PLACES}
    return {name: pa.array(batch[name], pa.int64(), mask=~there[name]) for name in PLACES}


def _timings(batch: Mapping[str, np.ndarray], rows: int) -> pa.Array:
    kind = MANIFEST_SCHEMA.field("timings").type
    milliseconds = [np.asarray(batch.get(time_column(stage), np.zeros(rows)), np.float32) for stage in TIMED_STAGES]
    return pa.StructArray.from_arrays(
        [pa.array(values, mask=~(values > 0)) for values in milliseconds], fields=list(kind)
    )
