"""What Ray runs: each task is one scan turned to the front, one pitch of it scored, or some photos with landmarks.

Models are loaded once in each worker process and stay there for the next task with the same settings.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.items import ScanItem, scan_checksum
from facerecon_ray.evaluation.landmark_evaluation import LandmarkEvaluator
from facerecon_ray.evaluation.landmark_files import AnnotatedPhoto
from facerecon_ray.evaluation.many_photos import person_rows
from facerecon_ray.evaluation.models import ModelSpec
from facerecon_ray.evaluation.rows import UNUSABLE
from facerecon_ray.evaluation.scan_evaluation import PreparedScan, ScanEvaluator
from facerecon_ray.evaluation.scan_pictures import Framing, pictures_of
from facerecon_ray.report.outlier_picture import outlier_picture

Angles = tuple[float, float]


@dataclass(frozen=True)
class Tools:
    """What decides which models a worker loads; `people` where pictures of a head are merged too."""

    models: tuple[ModelSpec, ...]
    protocol: ProtocolSettings
    device: str
    threads: int
    people: bool = False

    def scan_evaluator(self) -> ScanEvaluator:
        """Loaded at the first use in a process."""
        return _scan_evaluator(self)

    def landmark_evaluator(self) -> LandmarkEvaluator:
        """Loaded at the first use in a process."""
        return _landmark_evaluator(self)


@dataclass(frozen=True)
class Verdict:
    """What became of a scan.

    checksum  of its contents, "" when it could not be read
    row       why it is left out, None when it is not
    """

    checksum: str
    row: dict[str, Any] | None


def prepare(tools: Tools, item: ScanItem) -> tuple[PreparedScan | None, Verdict]:
    """Read a scan and turn it to the front."""
    checksum = ""
    try:
        scan = item.load()
        checksum = scan_checksum(scan)
        return tools.scan_evaluator().prepare(item.data, item.name, scan), Verdict(checksum, None)
    except InputError as error:
        row = {"data": item.data, "item": item.name, "status": UNUSABLE, "error": str(error)}
        return None, Verdict(checksum, row)


def score(tools: Tools, prepared: PreparedScan, angles: list[Angles]) -> list[dict[str, Any]]:
    """Rows of all models on pictures of a scan."""
    return tools.scan_evaluator().rows(prepared, angles)


def score_people(
    tools: Tools, prepared: PreparedScan, angles: list[Angles], counts: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Rows of a scan by several of its pictures together."""
    return person_rows(tools.scan_evaluator(), prepared, angles, counts)


def score_landmarks(tools: Tools, photos: list[AnnotatedPhoto]) -> list[dict[str, Any]]:
    """Rows of all models on photos with landmarks."""
    return tools.landmark_evaluator().rows(photos)


def look(tools: Tools, item: ScanItem, angles: Angles, model: str) -> bytes:
    """JPEG of what a model made of a picture: photo, rotated view, scan, mesh, and where they differ."""
    evaluator = tools.scan_evaluator()
    prepared = evaluator.prepare(item.data, item.name, item.load())
    made = evaluator.look(prepared, angles, model)
    front = Framing(prepared.pose.to_head, (0.0, 0.0, 0.0), tools.protocol.size, prepared.pose.zoom)
    scan = pictures_of(prepared.drawn).draw(front)
    return outlier_picture(made.picture, made.rotated, scan, front.camera(), made.mesh, made.error)


@lru_cache(maxsize=1)
def _scan_evaluator(tools: Tools) -> ScanEvaluator:
    torch.set_num_threads(tools.threads)
    return ScanEvaluator(tools.models, tools.protocol, tools.device, tools.people)


@lru_cache(maxsize=1)
def _landmark_evaluator(tools: Tools) -> LandmarkEvaluator:
    torch.set_num_threads(tools.threads)
    return LandmarkEvaluator(tools.models, tools.device)
