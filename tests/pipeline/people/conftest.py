"""A small collection, as the stages of a job leave it: two people in five photos, one of them with both."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from facerecon_ray.config.reconstruct import ChainSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.manifest_writer import POSITION, SHARD
from facerecon_ray.pipeline.shard_packs import ShardPacks
from facerecon_ray.stages.chain import CROP, EXPORT, ChainPart
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.photo_file import encode_photo
from facerecon_ray.storage.run_record import Run, new_record, save_record
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

PHOTOS = "/photos"


@pytest.fixture(scope="session")
def photo_rows(astronaut: np.ndarray, hopper: np.ndarray, pair: np.ndarray) -> Batch:
    """Exported faces of ann1, ann2, bob1, bob2 and both.jpg, of which ann2 is ann1 in smaller."""
    pictures = {
        "ann1": astronaut,
        "ann2": np.asarray(Image.fromarray(astronaut).resize((300, 300))),
        "bob1": hopper,
        "bob2": np.asarray(Image.fromarray(hopper).resize((300, 300))),
        "both": pair,
    }
    batch: Batch = {
        "photo_uri": np.array([f"{PHOTOS}/{name}.jpg" for name in pictures], object),
        "photo_bytes": np.array([encode_photo(Image.fromarray(picture)) for picture in pictures.values()], object),
        "status": np.full(len(pictures), OK, object),
        "error": np.full(len(pictures), "", object),
        "read_ms": np.ones(len(pictures), np.float32),
        POSITION: np.arange(len(pictures)),
        SHARD: np.zeros(len(pictures), int),
    }
    on_cpu = {name: {"device": "cpu"} for name in ("crop", "fit", "rotate", "reconstruct")}
    settings = ChainSettings.model_validate({**on_cpu, "people": {"enabled": True}})
    return ChainPart(settings, CROP, EXPORT)(batch)


@pytest.fixture
def write_collection(photo_rows: Batch) -> Callable[..., OutputFolder]:
    """Write the output of a job: write_collection(where) or write_collection(where, "ann1", "bob1", pack="shard")."""

    def write(
        where: Path | str, *names: str, s3: S3Settings | None = None, pack: Literal["none", "shard"] = "none"
    ) -> OutputFolder:
        output = OutputFolder(where, s3)
        wanted = [f"{PHOTOS}/{name}.jpg" for name in names]
        chosen = np.isin(photo_rows["photo_uri"].astype(str), wanted) if names else np.ones(6, bool)
        files = FaceFiles(output.uri, s3 or S3Settings(), PHOTOS, "glb", 100, pack)
        rows = FaceWriter(files)({name: values[chosen] for name, values in photo_rows.items()})
        packs = ShardPacks(output, s3 or S3Settings(), lambda: None)
        packs.begin(0, rows.select(MANIFEST_SCHEMA.names)).result()
        record = new_record({}, PHOTOS)
        save_record(output, record.model_copy(update={"runs": [Run(started="2026-01-31", outcome="finished")]}))
        return output

    return write
