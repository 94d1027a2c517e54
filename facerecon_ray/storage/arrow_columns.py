"""NumPy columns of a batch as Arrow columns with null rows, without a Python loop over rows."""

import numpy as np
import pyarrow as pa

from facerecon_ray.storage.uris import as_bytes

FLOATS = pa.list_(pa.float32())

CAMERA = ("scale", "x", "y", "nearness", "ray_x", "ray_y")
"""Parts of a face's camera, as `geometry.pose.Camera.row` has them."""


def matrix_type(*shape: int) -> pa.DataType:
    """Nested lists of fixed sizes of float32."""
    kind = pa.float32()
    for size in reversed(shape):
        kind = pa.list_(kind, size)
    return kind


def struct_type(*names: str) -> pa.DataType:
    """Named float32 values."""
    return pa.struct([(name, pa.float32()) for name in names])


def numbers(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    """(B, ...) array as nested lists of fixed sizes of float32, null where not valid (B,) bool or where a NaN is."""
    valid = valid & _known(values)
    if values.ndim == 1:
        return pa.array(values.astype(np.float32), mask=~valid)
    kind: pa.Array = pa.array(np.ascontiguousarray(values, np.float32).ravel())
    mask = pa.array(~valid)
    for axis in range(values.ndim - 1, 0, -1):
        kind = pa.FixedSizeListArray.from_arrays(kind, values.shape[axis], mask=mask if axis == 1 else None)
    return kind


def named(values: np.ndarray, valid: np.ndarray, kind: pa.DataType) -> pa.Array:
    """(B, K) array as structs of a type with K fields, null where not valid or where a NaN is."""
    valid = valid & _known(values)
    columns = [pa.array(np.ascontiguousarray(column, np.float32)) for column in values.T]
    return pa.StructArray.from_arrays(columns, fields=list(kind), mask=pa.array(~valid))


def _known(values: np.ndarray) -> np.ndarray:
    """(B,) bool. Programs order a NaN in different ways and count it among the values; all of them know null."""
    return np.asarray(~np.isnan(np.asarray(values, np.float32).reshape(len(values), -1)).any(1))


def texts(values: np.ndarray) -> pa.Array:
    """Text, null where it is empty; parts of it that are no text, from names of files, as escapes."""
    return pa.array([as_bytes(value).decode() or None for value in values], pa.string())
