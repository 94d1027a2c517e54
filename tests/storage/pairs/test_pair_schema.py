import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from facerecon_ray.storage.pairs.pair_schema import PAIR_SCHEMA, pair_arrays, pair_rows

sys.path.insert(0, str(Path(__file__).parents[1]))
from pairs import pair_batch


def test_rows_come_back_as_they_were() -> None:
    batch = pair_batch(status=("ok", "ok"))
    arrays = pair_arrays(pair_rows(batch, "png"), 256)
    assert set(arrays) == set(PAIR_SCHEMA.names)
    # The dense landmarks are one list of numbers: other face models have fewer, or none.
    batch["dense_landmarks"] = batch["dense_landmarks"].reshape(2, -1)
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, batch[name], err_msg=name)


def test_what_a_failed_row_does_not_have_is_null_and_its_truth_is_kept() -> None:
    rows = pair_rows(pair_batch(status=("ok", "failed")), "jpeg")
    assert rows.schema.equals(PAIR_SCHEMA, check_metadata=True)
    for name in ("rotated", "rotated_yaw", "fit_error", "visible_share", "fitted_pose"):
        assert rows[name].is_null().to_pylist() == [False, True], name
    for name in ("crop", "position_map", "pose", "landmarks_3d", "true_rotated"):
        assert rows[name].null_count == 0, name
    assert rows["error"].to_pylist() == [None, "the fit failed"]
    arrays = pair_arrays(rows.select(["rotated", "rotated_yaw", "fitted_pose", "error"]), 256)
    assert np.isnan(arrays["rotated_yaw"]).tolist() == [False, True]
    assert not arrays["rotated"][1].any()
    assert np.isnan(arrays["fitted_pose"][1]).all()


def test_cameras_of_data_sets_from_before_perspective_have_none() -> None:
    rows = pair_rows(pair_batch(status=("ok", "failed")), "jpeg").select(["camera", "fitted_camera"])
    for name in rows.column_names:
        column = rows[name].combine_chunks()
        parts = [column.field(part) for part in ("scale", "x", "y")]
        old = pa.StructArray.from_arrays(parts, ["scale", "x", "y"], mask=column.is_null())
        rows = rows.set_column(rows.column_names.index(name), name, old)
    arrays = pair_arrays(rows, 256)
    assert arrays["camera"].shape == (2, 6) and not arrays["camera"][:, 3:].any() and arrays["camera"][:, :3].all()
    assert np.isnan(arrays["fitted_camera"][1]).all()


def test_a_row_without_a_truth_has_no_numbers_at_all() -> None:
    batch = pair_batch(status=("failed",))
    batch["camera"][:] = 0.0
    rows = pair_rows(batch, "jpeg")
    known = [name for name in rows.column_names if rows[name].null_count == 0]
    assert known == ["subject", "subject_seed", "view", "source", "split", "attributes", "status", "error"]
