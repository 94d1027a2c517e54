from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerecon_ray.errors import OutputError
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_record import load_record, new_record, save_record
from facerecon_ray.storage.schema import MANIFEST_SCHEMA, manifest_rows

TIMINGS = MANIFEST_SCHEMA.field("timings").type


def batch(*photos: tuple[str, str]) -> dict[str, np.ndarray]:
    """Columns of all stages for (photo_uri, status) rows, with random numbers where a stage has been."""
    rows, random = len(photos), np.random.default_rng(0)
    status = np.array([status for _, status in photos], object)
    cropped = np.isin(status, ["ok", "failed"])
    shapes = {"crop_transform": (2, 3), "landmarks": (68, 2), "landmarks_3d": (68, 3), "pose": (3,), "shape": (6,)}
    shapes |= {"expression": (5,)} | dict.fromkeys(
        ("detection_score", "fit_error", "rotated_yaw", "visible_share", "quality", "crop_ms", "rotate_ms"), ()
    )
    columns = {name: random.random((rows, *shape)).astype(np.float32) for name, shape in shapes.items()}
    return columns | {
        "photo_uri": np.array([uri for uri, _ in photos], object),
        "status": status,
        "error": np.where(status == "ok", "", "a reason").astype(object),
        "photo_width": np.where(status == "unreadable", 0, 640).astype(np.int32),
        "photo_height": np.where(status == "unreadable", 0, 480).astype(np.int32),
        "face_count": np.ones(rows, np.int32),
        "face_index": np.zeros(rows, np.int32),
        "bbox": cropped[:, None] * np.array([10, 20, 30, 40], np.float32),
        "camera": (status == "ok")[:, None] * np.array([900, 128, 130, 0.8, 0.1, 0.0], np.float32),
        "mesh_uri": np.where(status == "ok", "meshes/a/0.glb", "").astype(object),
        "preview_uri": np.full(rows, "", object),
    }


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest(OutputFolder(tmp_path))


def test_rows_come_back_from_parquet_as_the_arrays_they_were(manifest: Manifest, tmp_path: Path):
    columns = batch(("/a.jpg", "ok"), ("/b.jpg", "ok"))
    manifest.write(0, manifest_rows(columns))
    table = pq.read_table(tmp_path / "manifest" / "part-00000000.parquet")
    assert table.schema.equals(MANIFEST_SCHEMA) and table.schema.metadata == MANIFEST_SCHEMA.metadata
    for name in ("bbox", "crop_transform", "landmarks", "landmarks_3d", "shape", "expression", "quality", "fit_error"):
        np.testing.assert_array_equal(np.array(table[name].to_pylist(), np.float32), columns[name])
    poses = [[pose[name] for name in ("yaw", "pitch", "roll")] for pose in table["pose"].to_pylist()]
    np.testing.assert_array_equal(np.array(poses, np.float32), columns["pose"])
    assert table["timings"][0]["rotate"].as_py() == columns["rotate_ms"][0]


def test_distance_and_focal_length_follow_from_the_camera_and_are_null_without_perspective():
    columns = batch(("/a.jpg", "ok"), ("/b.jpg", "ok"))
    columns["crop_transform"][:] = np.float32([[0.3, 0.4, 9.0], [-0.4, 0.3, 7.0]])
    columns["camera"][1, 3:] = 0.0
    near, far = manifest_rows(columns).to_pylist()
    assert near["distance"] == pytest.approx(1 / 0.8) and near["focal_length"] == pytest.approx(900 / 0.8 / 0.5)
    assert far["distance"] is None and far["focal_length"] is None and far["camera"]["nearness"] == 0.0


def test_no_number_is_written_that_is_none(manifest: Manifest, tmp_path: Path):
    columns = batch(("/a.jpg", "ok"), ("/b.jpg", "ok"))
    names = ("quality", "fit_error", "rotate_ms", "pose", "camera", "landmarks", "shape", "landmarks_3d")
    for name in names:
        columns[name][0].flat[0] = np.nan
    columns["quality"][0] = columns["fit_error"][0] = columns["rotate_ms"][0] = np.nan
    manifest.write(0, manifest_rows(columns))
    first, second = pq.read_table(tmp_path / "manifest").to_pylist()
    assert [first[name] for name in names if name != "rotate_ms"] == [None] * (len(names) - 1)
    assert first["timings"]["rotate"] is None
    assert all(second[name] is not None for name in names if name != "rotate_ms")


def test_a_name_that_is_no_text_is_an_escape_in_the_manifest_and_comes_back_from_the_record(tmp_path: Path):
    columns = batch(("/a.jpg", "failed"))
    columns["error"] = np.array(["caf\udce9.jpg is gone"], object)
    assert manifest_rows(columns)["error"].to_pylist() == [r"caf\udce9.jpg is gone"]
    record = new_record({"input": "/caf\udce9"}, "/caf\udce9/é")
    save_record(OutputFolder(tmp_path), record)
    assert load_record(OutputFolder(tmp_path).store) == record


def test_a_manifest_whose_every_row_failed_is_without_fruit(manifest: Manifest):
    assert not manifest.totals().fruitless
    manifest.write(0, manifest_rows(batch(("/a", "failed"), ("/b", "unreadable"))))
    assert manifest.totals().fruitless
    manifest.write(1, manifest_rows(batch(("/c", "no_face"))))
    assert not manifest.totals().fruitless


def test_a_part_without_a_byte_is_a_shard_to_do_again_and_other_files_are_none(manifest: Manifest, tmp_path: Path):
    for shard in (0, 1):
        manifest.write(shard, manifest_rows(batch((f"/{shard}.jpg", "ok"))))
    for name in ("._part-00000000.parquet", "part-00000000 (1).parquet", "part-00000000.parquet.crc", ".DS_Store"):
        (tmp_path / "manifest" / name).write_bytes(b"x")
    assert manifest.shards() == [0, 1] and manifest.totals().photos == 2
    (tmp_path / "manifest" / "part-00000001.parquet").write_bytes(b"")
    assert manifest.shards() == [0]
    with pytest.raises(OutputError, match=r"part-00000001\.parquet cannot be read"):
        manifest.totals()


def test_what_a_row_does_not_have_is_null():
    rows = manifest_rows(batch(("/a", "ok"), ("/b", "failed"), ("/c", "no_face"), ("/d", "unreadable"))).to_pylist()
    if_asked = {"side_photo_uri", "side_distance", "descriptor", "shape_information", "photo_sha256"}
    if_asked |= {f"{part}_{what}" for part in ("mesh", "preview", "sample") for what in ("offset", "length")}
    assert all(row[name] is None for row in rows for name in if_asked)
    nulls = [{name for name, value in row.items() if value is None} - if_asked for row in rows]
    of_export = {"mesh_uri", "landmarks_3d", "quality"}
    of_fit = of_export | {"distance", "focal_length"}
    of_fit |= {"pose", "camera", "shape", "expression", "fit_error", "rotated_yaw", "visible_share"}
    of_crop = of_fit | {"bbox", "detection_score", "crop_transform", "landmarks", "face_index"}
    assert nulls[0] == {"error", "preview_uri"}
    assert nulls[1] == of_fit | {"preview_uri"}
    assert nulls[2] == of_crop | {"preview_uri"}
    assert nulls[3] == of_crop | {"preview_uri", "photo_width", "photo_height"}
    assert [row["face_count"] for row in rows] == [1, 1, 0, 0]


def test_without_a_second_view_nothing_is_said_of_it():
    columns = batch(("/a", "ok"))
    rows = manifest_rows({name: columns[name] for name in columns if name not in ("rotated_yaw", "visible_share")})
    (row,) = rows.to_pylist()
    assert row["rotated_yaw"] is None and row["visible_share"] is None and row["fit_error"] is not None


def test_parts_belong_to_shards_and_are_replaced_as_a_whole(manifest: Manifest):
    for shard, uri in ((2, "/c"), (0, "/a"), (11, "/d"), (2, "/c2")):
        manifest.write(shard, manifest_rows(batch((uri, "ok"))))
    assert manifest.shards() == [0, 2, 11]
    assert [table["photo_uri"].to_pylist() for table in manifest.tables(["photo_uri"])] == [["/a"], ["/c2"], ["/d"]]


def test_totals_count_photos_rows_and_seconds_and_name_the_first_errors(manifest: Manifest):
    columns = batch(("/a", "ok"), ("/a", "ok"), ("/b", "unreadable"), ("/c", "no_face"), ("/d", "failed"))
    manifest.write(7, manifest_rows(columns))
    totals = manifest.totals(errors=1)
    assert totals.photos == 4
    assert totals.rows == {"ok": 2, "unreadable": 1, "no_face": 1, "failed": 1}
    assert totals.stage_seconds["crop"] == pytest.approx(columns["crop_ms"].sum() / 1000, abs=1e-3)
    assert totals.first_errors == [("unreadable", "/b", "a reason")]


def test_a_manifest_that_is_not_there_is_empty(manifest: Manifest):
    assert manifest.shards() == [] and manifest.totals().rows == {}


def test_a_damaged_part_is_named(manifest: Manifest, tmp_path: Path):
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest" / "part-00000000.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(OutputError, match=r"part-00000000\.parquet cannot be read"):
        manifest.totals()


def test_rows_of_another_schema_are_refused(manifest: Manifest):
    with pytest.raises(ValueError, match="schema"):
        manifest.write(0, pa.table({"photo_uri": ["/a"]}))


def test_parts_of_earlier_versions_have_nulls_in_newer_columns(manifest: Manifest, tmp_path: Path):
    table = manifest_rows(batch(("/a.jpg", "ok")))
    (tmp_path / "manifest").mkdir()
    times = pa.array(table["timings"].to_pylist(), pa.struct([field for field in TIMINGS if field.name != "fit"]))
    earlier = table.drop_columns(["side_photo_uri", "side_distance"])
    earlier = earlier.set_column(earlier.schema.get_field_index("timings"), "timings", times)
    pq.write_table(earlier, tmp_path / "manifest" / "part-00000000.parquet")
    rows = manifest.read("manifest/part-00000000.parquet")
    assert rows.schema.equals(MANIFEST_SCHEMA) and rows.to_pylist() == table.to_pylist()
    assert rows["side_photo_uri"].null_count == rows["side_distance"].null_count == 1


def test_rows_of_pairs_name_their_side_photos(manifest: Manifest):
    columns = batch(("/a.jpg", "ok"), ("/b.jpg", "failed"))
    columns["side_photo_uri"] = np.array(["/x.jpg", "/y.jpg"], object)
    columns["side_distance"] = np.array([0.5, 0.0], np.float32)
    rows = manifest_rows(columns)
    assert rows["side_photo_uri"].to_pylist() == ["/x.jpg", "/y.jpg"]
    assert rows["side_distance"].to_pylist() == [0.5, None]


def test_what_a_face_tells_of_its_person_is_stored_where_it_has_a_mesh(manifest: Manifest):
    columns = batch(("/a.jpg", "ok"), ("/b.jpg", "failed"))
    columns["descriptor"] = np.random.default_rng(1).normal(0, 0.1, (2, 128)).astype(np.float32)
    columns["shape_information"] = np.random.default_rng(2).normal(0, 1, (2, 21)).astype(np.float16)
    manifest.write(0, manifest_rows(columns))
    rows = manifest.read("manifest/part-00000000.parquet", ["descriptor", "shape_information"]).to_pylist()
    assert np.array_equal(np.float32(rows[0]["descriptor"]), columns["descriptor"][0])
    assert np.array_equal(np.frombuffer(rows[0]["shape_information"], "<f2"), columns["shape_information"][0])
    assert rows[1] == {"descriptor": None, "shape_information": None}
