"""Packs in a folder and in a real S3 server: what a row says is a range of a tar that every reader of tars opens."""

import io
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest
import webdataset
from s3_proxy import S3Proxy
from s3_server import S3Server

from facerecon_ray.errors import MissingObjectError, OutputError
from facerecon_ray.storage import s3_upload
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.objects import as_bucket
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import (
    assemble,
    clean,
    delete_others,
    new_pack,
    new_piece,
    read_face_file,
    repacked,
    sample,
)
from facerecon_ray.storage.s3_client import s3_client
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

KEYS = ("a.jpg/0", "a.jpg/1", "größe/" + "long " * 19 + "/b.jpg/0", "x/" * 150 + "clip.mp4/t=1.500/0")


def files_of(key: str) -> dict[str, bytes]:
    return {"glb": key.encode() * 700, "jpg": b"" if "clip" in key else key.encode(), "json": b"{}"}


def write_piece(output: OutputFolder, shard: int, *keys: str) -> list[dict]:
    """A piece with these faces' samples; their rows."""
    name, data, rows = new_piece(shard), b"", []
    for key in keys:
        files = {suffix: file for suffix, file in files_of(key).items() if file}
        part, places = sample(key, files)
        row = dict.fromkeys(MANIFEST_SCHEMA.names) | {"photo_uri": key, "face_count": 1, "status": "ok"}
        row |= {"sample_offset": len(data), "sample_length": len(part)}
        for kind, suffix in (("mesh", "glb"), ("preview", "jpg")):
            if suffix in places:
                start, length = places[suffix]
                row[f"{kind}_uri"] = f"{name}#{key}.{suffix}"
                row |= {f"{kind}_offset": len(data) + start, f"{kind}_length": length}
        rows.append(row)
        data += part
    output.write(name, data)
    return rows


def pack(output: OutputFolder, shard: int, rows: list[dict]) -> pa.Table:
    name = new_pack(shard)
    table, extents = repacked(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), name)
    assemble(output, name, extents)
    Manifest(output).write(shard, table)
    return table


def packs(output: OutputFolder) -> list[str]:
    return [found.name for found in output.store.list("packs/")]


def test_a_pack_has_the_samples_of_its_rows_in_their_order_each_a_tar_of_its_own(output: OutputFolder) -> None:
    first, second = write_piece(output, 3, *KEYS[:3]), write_piece(output, 3, KEYS[3])
    none = dict.fromkeys(MANIFEST_SCHEMA.names) | {"photo_uri": "n", "face_count": 0, "status": "no_face"}
    table = pack(output, 3, [second[0], first[0], none, first[2]])
    rows = [row for row in table.to_pylist() if row["status"] == "ok"]
    (name,) = {row["mesh_uri"].partition("#")[0] for row in rows}
    assert table["photo_uri"].to_pylist() == [KEYS[3], KEYS[0], "n", KEYS[2]]
    assert table["mesh_uri"][2].as_py() is table["sample_offset"][2].as_py() is None
    with tarfile.open(fileobj=io.BytesIO(output.store.read(name))) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    expected = {
        f"{row['photo_uri']}.{suffix}": file for row in rows for suffix, file in files_of(row["photo_uri"]).items()
    }
    assert list(members.items()) == [(name, file) for name, file in expected.items() if file]
    for row in rows:
        files = files_of(row["photo_uri"])
        assert read_face_file(output.store, row, "mesh") == files["glb"]
        start, end = row["sample_offset"], row["sample_offset"] + row["sample_length"]
        with tarfile.open(fileobj=io.BytesIO(output.store.read_range(name, start, end))) as tar:
            assert tar.getnames() == [f"{row['photo_uri']}.{suffix}" for suffix, file in files.items() if file]
    assert read_face_file(output.store, rows[1], "preview") == files_of(KEYS[0])["jpg"]
    with pytest.raises(MissingObjectError, match="the face has no preview"):
        read_face_file(output.store, rows[0], "preview")


def test_packing_again_moves_samples_and_leaves_no_other_pack_or_piece_of_the_shard(output: OutputFolder) -> None:
    other = pack(output, 30, write_piece(output, 30, KEYS[0]))
    old = pack(output, 3, write_piece(output, 3, *KEYS[:2]))
    rows = [*old.to_pylist()[1:], *write_piece(output, 3, KEYS[2])]
    new = pack(output, 3, rows)
    delete_others(output, 3, new)
    assert [read_face_file(output.store, row, "mesh") for row in new.to_pylist()] == [
        files_of(key)["glb"] for key in KEYS[1:3]
    ]
    kept = {uri.partition("#")[0] for table in (new, other) for uri in table["mesh_uri"].to_pylist()}
    assert {name for name in packs(output) if "/pieces/00000030/" not in name} == kept


def test_what_killed_runs_leave_is_deleted_and_nothing_that_a_part_names(output: OutputFolder) -> None:
    old = pack(output, 0, write_piece(output, 0, KEYS[0]))
    new = pack(output, 0, old.to_pylist())
    pack(output, 1, write_piece(output, 1, KEYS[1]))
    output.store.delete("manifest/part-00000001.parquet")
    output.write("packs/mine.txt", b"a user's")
    clean(output, Manifest(output))
    assert set(packs(output)) == {new["mesh_uri"][0].as_py().partition("#")[0], "packs/mine.txt"}


def test_a_pack_of_what_is_gone_is_refused_and_leaves_nothing(output: OutputFolder) -> None:
    rows = write_piece(output, 0, *KEYS[:2])
    (piece,) = packs(output)
    output.write(piece, output.store.read(piece)[:2000])
    with pytest.raises(
        OutputError,
        match=r"tar (ends before its byte|is another|has changed).*; the same command does its photos again",
    ):
        pack(output, 0, rows)
    output.store.delete(piece)
    with pytest.raises(OutputError, match=r"tar does not exist; the same command does its photos again"):
        pack(output, 0, rows)
    assert packs(output) == []
    old = pack(output, 0, write_piece(output, 0, KEYS[0]))
    delete_others(output, 0, pa.table({name: pa.nulls(0, pa.string()) for name in ("mesh_uri", "preview_uri")}))
    with pytest.raises(
        OutputError, match=r"tar does not exist; delete .*/manifest/part-00000000.parquet, and the same"
    ):
        pack(output, 0, old.to_pylist())


def test_an_upload_whose_last_answers_are_lost_is_there_as_a_whole(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "PART_BYTES", 5 << 20)
    proxy = S3Proxy(seaweed.port)
    settings = seaweed.settings.model_copy(update={"endpoint_url": proxy.endpoint, "read_timeout": 1.0})
    output = OutputFolder(f"s3://{seaweed.bucket()}/out", settings)
    pieces = [bytes([number]) * (1 << 20) for number in range(11)]
    with ExitStack() as faults:

        def failing_at_the_end():
            yield from pieces
            faults.enter_context(proxy.failing("cut", seconds=0.5))

        output.write_stream("packs/large.tar", failing_at_the_end())
    assert proxy.met and output.store.read("packs/large.tar") == b"".join(pieces)
    proxy.close()


def test_webdataset_reads_a_pack_as_it_is(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path)
    pack(output, 3, write_piece(output, 3, *KEYS))
    names = [str(tmp_path / name) for name in packs(output) if "pieces" not in name]
    samples = list(webdataset.WebDataset(names, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in samples] == list(KEYS)
    for found in samples:
        files = {suffix: file for suffix, file in files_of(found["__key__"]).items() if file}
        assert {name: found[name] for name in found if not name.startswith("__")} == files


def test_a_large_object_is_written_in_parts_whole_or_not_at_all(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "PART_BYTES", 5 << 20)
    output = OutputFolder(f"s3://{seaweed.bucket()}/out", seaweed.settings)
    pieces = [bytes([number]) * (1 << 20) for number in range(13)]
    output.write_stream("packs/large.tar", pieces)
    assert output.store.read("packs/large.tar") == b"".join(pieces)

    def broken():
        yield from pieces
        raise OutputError("the rest is gone")

    with pytest.raises(OutputError, match="the rest is gone"):
        output.write_stream("packs/broken.tar", broken())
    client, bucket = s3_client(seaweed.settings), as_bucket(output.store)
    assert bucket is not None
    client.create_multipart_upload(Bucket=bucket.bucket, Key="out/packs/killed.tar")
    assert len(client.list_multipart_uploads(Bucket=bucket.bucket)["Uploads"]) == 1, "of the broken one none is left"
    clean(output, Manifest(output))
    assert not client.list_multipart_uploads(Bucket=bucket.bucket).get("Uploads")
    assert packs(output) == ["packs/large.tar"]
