"""The row of a training data set: one view of one subject. The only place that names its columns and types.

A column is null where a row has no such value: where the fit failed there is no rotated view, where the head
is known from one photo alone there is no true one.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from facerecon_ray.storage.arrow_columns import CAMERA, FLOATS, matrix_type, named, numbers, struct_type, texts
from facerecon_ray.storage.pairs.pair_codec import (
    pack_image,
    pack_map,
    pack_mask,
    unpack_image,
    unpack_map,
    unpack_mask,
)

PAIR_SCHEMA_VERSION = 3
"""1: without fitted_camera, fitted_shape, fitted_expression, rotated_seen and rotated_head. 2: no dense_landmarks,
and with cameras without perspective, which are read as such."""

SPLITS = ("train", "validation", "test")

_ANGLES = struct_type("yaw", "pitch", "roll")
_CAMERA = struct_type(*CAMERA)

PAIR_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.int64(), nullable=False),  # number in the data set
        pa.field("subject_seed", pa.int64(), nullable=False),  # all that is random about the subject comes from it
        pa.field("view", pa.int32(), nullable=False),  # number among the subject's views
        pa.field("source", pa.string(), nullable=False),  # synthetic, profile, facegen, 300wlp
        pa.field("origin", pa.string()),  # name of the file that the row was made from
        pa.field("split", pa.string(), nullable=False),  # train, validation, test; the same for all of a subject
        pa.field("attributes", pa.string(), nullable=False),  # JSON: gender, age, hair...
        pa.field("status", pa.string(), nullable=False),  # ok, failed
        pa.field("error", pa.string()),  # one sentence
        pa.field("crop", pa.binary()),  # JPEG or PNG, 256 x 256
        pa.field("crop_transform", matrix_type(2, 3)),  # photo pixels -> crop pixels
        pa.field("position_map", pa.binary()),  # float16, packed by pair_codec.pack_map
        pa.field("pose", _ANGLES),  # degrees
        pa.field("camera", _CAMERA),  # crop pixels per metre, crop pixels, 1 / metre, none
        pa.field("shape", FLOATS),  # standard deviations
        pa.field("expression", FLOATS),  # standard deviations
        pa.field("landmarks_3d", matrix_type(68, 3)),  # crop pixels
        pa.field(
            "dense_landmarks", FLOATS
        ),  # x and y of each of the face model's, crop pixels; null where it has none
        pa.field("given_landmarks", matrix_type(68, 2)),  # crop pixels, what the fit stage was given
        pa.field("fitted_pose", _ANGLES),  # degrees
        pa.field("fitted_camera", _CAMERA),
        pa.field("fitted_shape", FLOATS),  # standard deviations
        pa.field("fitted_expression", FLOATS),  # standard deviations
        pa.field("fit_error", pa.float32()),
        pa.field("rotated", pa.binary()),  # the rotate stage's output
        pa.field("rotated_yaw", pa.float32()),  # degrees
        pa.field("visible_share", pa.float32()),  # of the rotated view's face pixels, those that the photo saw
        pa.field("rotated_seen", pa.binary()),  # PNG, 255 times how well the photo saw each of its pixels
        pa.field("rotated_head", pa.binary()),  # PNG, 255 where the head is
        pa.field("true_rotated", pa.binary()),  # the head as it looks from there
        pa.field("true_rotated_pose", _ANGLES),  # degrees
    ],
    metadata={"schema_version": str(PAIR_SCHEMA_VERSION)},
)

IMAGES = ("crop", "rotated", "true_rotated")
MASKS = ("rotated_seen", "rotated_head")
_OF_TRUTH = ("crop_transform", "landmarks_3d", "given_landmarks")
_OF_FIT = ("fit_error", "rotated_yaw", "visible_share")


def pair_rows(batch: Mapping[str, np.ndarray], image_format: Literal["jpeg", "png"]) -> pa.Table:
    """Rows of a batch.

    Parameters
    ----------
    batch : the columns of PAIR_SCHEMA as arrays with B rows, pictures and maps unpacked, attributes as dicts. Rows
        without a truth have camera 0, rows without a fit visible_share 0 and rotated 0, rows without a true rotated
        view true_rotated 0
    image_format : of the pictures
    """
    known = batch["camera"][:, 0] > 0
    fitted = known & batch["rotated"].any((1, 2, 3))
    turned = known & batch["true_rotated"].any((1, 2, 3))
    valid = {"crop": known, "rotated": fitted, "true_rotated": turned}
    pictures = {
        name: [
            pack_image(image, image_format) if there else None for image, there in zip(batch[name], mask, strict=True)
        ]
        for name, mask in valid.items()
    }
    masks = {
        name: [pack_mask(mask) if there else None for mask, there in zip(batch[name], fitted, strict=True)]
        for name in MASKS
    }
    maps = [pack_map(values) if there else None for values, there in zip(batch["position_map"], known, strict=True)]
    plain = ("subject", "subject_seed", "view", "source", "split", "status")
    columns = {
        **{name: pa.array(batch[name], PAIR_SCHEMA.field(name).type) for name in plain},
        **{name: texts(batch[name]) for name in ("origin", "error")},
        "attributes": pa.array([json.dumps(known_as, sort_keys=True) for known_as in batch["attributes"]]),
        **{name: pa.array(values, pa.binary()) for name, values in (pictures | masks).items()},
        "position_map": pa.array(maps, pa.binary()),
        **{name: numbers(batch[name], known) for name in _OF_TRUTH},
        **{name: numbers(batch[name], known).cast(FLOATS) for name in ("shape", "expression")},
        "dense_landmarks": _points(batch["dense_landmarks"], known),
        **{name: numbers(batch[name], fitted) for name in _OF_FIT},
        **{name: numbers(batch[name], fitted).cast(FLOATS) for name in ("fitted_shape", "fitted_expression")},
        "fitted_camera": named(batch["fitted_camera"], fitted, _CAMERA),
        "pose": named(batch["pose"], known, _ANGLES),
        "camera": named(batch["camera"], known, _CAMERA),
        "fitted_pose": named(batch["fitted_pose"], fitted, _ANGLES),
        "true_rotated_pose": named(batch["true_rotated_pose"], turned, _ANGLES),
    }
    return pa.table({name: columns[name] for name in PAIR_SCHEMA.names}, schema=PAIR_SCHEMA)


def _points(points: np.ndarray, valid: np.ndarray) -> pa.Array:
    """(B, D, 2) points as lists of floats."""
    if not points.shape[1]:
        return pa.nulls(len(points), FLOATS)
    return numbers(points.reshape(len(points), -1), valid).cast(FLOATS)


def pair_arrays(rows: pa.Table, size: int) -> dict[str, np.ndarray]:
    """Rows as arrays, the inverse of `pair_rows`; nan and black where there is null.

    Parameters
    ----------
    rows : some or all columns of PAIR_SCHEMA
    size : width and height of crops and maps in pixels

    Raises
    ------
    StorageError
        when the bytes of a picture or a map are damaged
    """
    arrays: dict[str, np.ndarray] = {}
    for name in rows.column_names:
        column = rows[name].combine_chunks()
        if name in IMAGES:
            black = np.zeros((size, size, 3), np.uint8)
            arrays[name] = np.stack([unpack_image(v) if v is not None else black for v in column.to_pylist()])
        elif name in MASKS:
            nothing = np.zeros((size, size), np.uint8)
            arrays[name] = np.stack([unpack_mask(v) if v is not None else nothing for v in column.to_pylist()])
        elif name == "position_map":
            nowhere = np.zeros((size, size, 3), np.float16)
            arrays[name] = np.stack([unpack_map(v, size) if v is not None else nowhere for v in column.to_pylist()])
        elif name == "attributes":
            arrays[name] = np.array([json.loads(text) for text in column.to_pylist()], object)
        elif pa.types.is_struct(column.type):
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            fields = [column.field(i).to_numpy(zero_copy_only=False) for i in range(column.type.num_fields)]
            fields += [np.zeros(len(column))] * (PAIR_SCHEMA.field(name).type.num_fields - len(fields))
            arrays[name] = np.where(valid[:, None], np.stack(fields, 1), np.nan).astype(np.float32)
        elif pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            arrays[name] = column.to_numpy(zero_copy_only=False)
        elif pa.types.is_string(column.type):
            arrays[name] = np.array([text or "" for text in column.to_pylist()], object)
        else:
            arrays[name] = _nested(column)
    return arrays


def _nested(column: pa.Array) -> np.ndarray:
    """Lists of numbers, possibly nested, as one array; all rows that are not null have the same shape."""
    rows: list[Any] = column.to_pylist()
    shape = next((np.shape(row) for row in rows if row is not None), (0,))
    return np.array([row if row is not None else np.full(shape, np.nan) for row in rows], np.float32)
