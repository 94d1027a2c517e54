"""What workers leave of faces whose files go into packs: pieces, each with faces of one shard."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facerecon_ray.pipeline.manifest_writer import SHARD
from facerecon_ray.stages.stage import Batch, select
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import new_piece, sample
from facerecon_ray.storage.schema import PLACES, URIS, WRITE, manifest_rows, time_column
from facerecon_ray.storage.uris import as_bytes

PIECE_BYTES = 8 << 20
"""A piece ends with the face that exceeds them."""

_NOT_TOLD = {*PLACES, *URIS, "status", "error", "timings", "descriptor", "shape_information"}


@dataclass
class _Piece:
    name: str
    samples: list[bytes] = field(default_factory=list)
    size: int = 0


class PieceWriter:
    """Write the meshes and previews of faces into pieces, with what their rows say of them as JSON."""

    def __init__(self, output: OutputFolder, threads: ThreadPoolExecutor, mesh_suffix: str) -> None:
        self._output, self._threads, self._suffix = output, threads, mesh_suffix

    def __call__(self, batch: Batch, written: np.ndarray, keys: Sequence[str]) -> Batch:
        """Write faces of a batch.

        Parameters
        ----------
        batch : of which `manifest_rows` makes rows, with mesh, preview : (B,) bytes and SHARD
        written : numbers of the faces
        keys : <photo key>/<face index> of each of them

        Returns
        -------
        Columns that say where they are, and the time to write with this added
        """
        begun = time.perf_counter()
        rows = len(batch["status"])
        columns: Batch = {name: np.full(rows, "", object) for name in URIS}
        columns |= {name: np.zeros(rows, np.int64) for name in PLACES}
        told = manifest_rows(select(batch, written)).to_pylist()
        pieces: list[_Piece] = []
        open_of: dict[int, _Piece] = {}
        for row, key, values in zip(written, keys, told, strict=True):
            shard = int(batch[SHARD][row])
            files = {self._suffix: batch["mesh"][row], "jpg": batch["preview"][row]}
            data, places = sample(key, {**{k: v for k, v in files.items() if v}, "json": _json(values)})
            piece = open_of.get(shard)
            if piece is None or piece.size >= PIECE_BYTES:
                piece = open_of[shard] = _Piece(new_piece(shard))
                pieces.append(piece)
            for kind, suffix in (("mesh", self._suffix), ("preview", "jpg")):
                if suffix in places:
                    offset, length = places[suffix]
                    columns[f"{kind}_uri"][row] = f"{piece.name}#{key}.{suffix}"
                    columns[f"{kind}_offset"][row], columns[f"{kind}_length"][row] = piece.size + offset, length
            columns["sample_offset"][row], columns["sample_length"][row] = piece.size, len(data)
            piece.samples.append(data)
            piece.size += len(data)
        list(self._threads.map(self._write, pieces))
        written_ms = time_column(WRITE)
        milliseconds = batch[written_ms].copy()
        milliseconds[written] += (time.perf_counter() - begun) * 1000 / max(len(written), 1)
        return {**columns, written_ms: milliseconds}

    def _write(self, piece: _Piece) -> None:
        self._output.write_stream(piece.name, piece.samples)


def _json(row: dict[str, Any]) -> bytes:
    """A row as JSON, without where its files lie, who it is and how long it took."""
    told = {name: _short(value) for name, value in row.items() if name not in _NOT_TOLD and value is not None}
    return as_bytes(json.dumps(told, ensure_ascii=False))


def _short(value: Any) -> Any:
    """Numbers with as many digits as single precision has."""
    if isinstance(value, float):
        return float(str(np.float32(value)))
    if isinstance(value, list):
        return [_short(part) for part in value]
    return {name: _short(part) for name, part in value.items()} if isinstance(value, dict) else value
