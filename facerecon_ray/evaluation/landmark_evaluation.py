"""Photos with known landmarks through the models: the AFLW2000-3D protocol.

Normalised by the square root of width times height of the true landmarks' bounding box, x and y only, 68 points; yaw
in bins of 30 degrees, and the mean of the bins. The face is found by the system's own detector, not by the annotation.
"""

import time
from typing import Any

import numpy as np

from facerecon_ray.config.reconstruct import ChainSettings, FitSettings, RotateSettings
from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.landmark_files import AnnotatedPhoto, Annotation, read_annotation
from facerecon_ray.evaluation.models import Model, ModelSpec
from facerecon_ray.evaluation.picture_crops import PictureCrops, was_found
from facerecon_ray.evaluation.rows import LANDMARKS, NOT_RECONSTRUCTED, OK, UNUSABLE
from facerecon_ray.geometry.mesh_errors import landmark_nme
from facerecon_ray.stages.chain import FIT, ROTATE, ChainPart, exporter
from facerecon_ray.stages.stage import UNREADABLE, Batch


class LandmarkEvaluator:
    """Everything that the landmark protocol needs, loaded once.

    Parameters
    ----------
    models : to compare
    device : auto, cpu, cuda or cuda:N
    """

    def __init__(self, models: tuple[ModelSpec, ...], device: str = "auto") -> None:
        self._finder = PictureCrops(device)
        chain = ChainSettings(fit=FitSettings(device=device), rotate=RotateSettings(device=device))
        self._fit_and_rotate = ChainPart(chain, FIT, ROTATE)
        self._export = exporter(chain)
        self._models = [Model(spec, device) for spec in models]

    def rows(self, photos: list[AnnotatedPhoto]) -> list[dict[str, Any]]:
        """Score all models on some photos: rows of ROW_SCHEMA; a photo that cannot be used is one row."""
        start = time.perf_counter()
        rows: list[dict[str, Any]] = []
        names, files, truths = [], [], []
        for photo in photos:
            try:
                truth, data = read_annotation(photo.truth), photo.photo.read_bytes()
            except (InputError, OSError) as error:
                reason = str(error) if isinstance(error, InputError) else f"{photo.name}: {error.strerror}"
                rows.append({"data": LANDMARKS, "item": photo.name, "status": UNUSABLE, "error": reason})
                continue
            names.append(photo.name)
            files.append(data)
            truths.append(truth)
        if names:
            rows += self._scored(names, files, truths)
        seconds = (time.perf_counter() - start) / len(rows)
        return [{**row, "seconds": seconds} for row in rows]

    def _scored(self, names: list[str], files: list[bytes], truths: list[Annotation]) -> list[dict[str, Any]]:
        places = np.stack([(truth.landmarks.min(0) + truth.landmarks.max(0)) / 2 for truth in truths])
        faces = self._fit_and_rotate(self._finder.find_in_files(files, places))
        unreadable = faces["status"] == UNREADABLE
        rows = [
            {"data": LANDMARKS, "item": names[index], "status": UNUSABLE, "error": faces["error"][index]}
            for index in np.flatnonzero(unreadable)
        ]
        for model in self._models:
            batch = model(faces)
            errors = self._errors(batch, truths)
            for index in np.flatnonzero(~unreadable).tolist():
                truth, error = truths[index], errors[index]
                row: dict[str, Any] = {"data": LANDMARKS, "item": names[index], "model": model.name}
                row |= {"yaw": truth.yaw, "pitch": truth.pitch, **_measures(faces, index)}
                if np.isfinite(error):
                    rows.append(row | {"status": OK, "landmark_nme": float(error)})
                else:
                    reason = batch["error"][index] or "the landmarks are not numbers"
                    rows.append(row | {"status": NOT_RECONSTRUCTED, "error": reason})
        return rows

    def _errors(self, batch: Batch, truths: list[Annotation]) -> np.ndarray:
        """(B,) landmark NME, nan where nothing was reconstructed."""
        errors = np.full(len(truths), np.nan)
        made = np.flatnonzero(was_found(batch))
        if len(made):
            found = self._export.landmarks({name: values[made] for name, values in batch.items()})
            errors[made] = landmark_nme(found[..., :2], np.stack([truths[index].landmarks for index in made]))
        return errors


def _measures(faces: Batch, index: int) -> dict[str, float]:
    if not was_found(faces)[index]:
        return {}
    names = ("detection_score", "fit_error", "visible_share", "quality", "rotated_yaw")
    yaw, pitch = faces["pose"][index, :2].tolist()
    return {name: float(faces[name][index]) for name in names} | {"estimated_yaw": yaw, "estimated_pitch": pitch}
