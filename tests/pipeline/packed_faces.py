"""What a job with packs has written, looked at as a reader would."""

import io
import tarfile

from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import read_face_file
from facerecon_ray.storage.uris import name_of


def rows_of(output: OutputFolder) -> list[dict]:
    return [row for table in Manifest(output).tables() for row in table.to_pylist()]


def packed_faces(output: OutputFolder) -> dict[tuple[str, int], dict]:
    """Rows with a face; a tar a shard holds their files, all of them and no others, and nothing else is there."""
    named: dict[str, list[dict]] = {}
    rows = [row for row in rows_of(output) if row["status"] == "ok"]
    for row in rows:
        pack, _, mesh = row["mesh_uri"].partition("#")
        assert row["preview_uri"] == f"{pack}#{mesh.removesuffix('.glb')}.jpg"
        key = f"{name_of(row['photo_uri'])}/{row['face_index']}".encode()
        assert read_face_file(output.store, row, "mesh") == b"mesh of " + key
        assert read_face_file(output.store, row, "preview") == b"preview of " + key
        sample = output.store.read_range(pack, row["sample_offset"], row["sample_offset"] + row["sample_length"])
        with tarfile.open(fileobj=io.BytesIO(sample)) as tar:
            assert tar.getnames() == [mesh.removesuffix("glb") + suffix for suffix in ("glb", "jpg", "json")]
        named.setdefault(pack, []).append(row)
    assert sorted(found.name for found in output.store.list("packs/")) == sorted(named)
    for pack, of_pack in named.items():
        with tarfile.open(fileobj=io.BytesIO(output.store.read(pack))) as tar:
            keys = [row["mesh_uri"].partition("#")[2].removesuffix(".glb") for row in of_pack]
            assert tar.getnames() == [f"{key}.{suffix}" for key in keys for suffix in ("glb", "jpg", "json")]
    found = {(name_of(row["photo_uri"]), row["face_index"]): row for row in rows}
    assert len(found) == len(rows)
    return found
