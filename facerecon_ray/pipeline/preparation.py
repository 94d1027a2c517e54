"""Everything that can be known or refused before Ray starts and before anything is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.errors import AssetError, OutputError, SettingsError
from facerecon_ray.pipeline.face_files import FaceFiles
from facerecon_ray.storage.inputs import canonical_input, list_photos
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_record import RunRecord, load_record, new_record

# What may differ when a job is continued: how much and how fast, but not what comes out for a photo.
_FREE_SETTINGS = ("output", "limit", "pools", "report")


@dataclass(frozen=True)
class PreparedJob:
    """A job that may start.

    photos     URIs of all photos of the job, those of an earlier run included
    ignored    files in the input that are no photos
    earlier    record of the run that the output folder holds already
    record     the earlier run's record when the job continues it, else a new one
    """

    job: ReconstructJob
    output: OutputFolder
    photos: list[str]
    ignored: int
    earlier: RunRecord | None
    record: RunRecord

    @property
    def continues(self) -> bool:
        """Whether the job goes on where an earlier run stopped."""
        return self.record is self.earlier

    @property
    def files(self) -> FaceFiles:
        """Where the files of the faces go."""
        return FaceFiles(
            output=self.output.path,
            photo_root=self.record.photo_root,
            mesh_suffix=self.job.export.format,
            viewer_photos=frozenset(self.photos[: self.job.report.gallery_faces]),
        )

    def done(self) -> set[str]:
        """Photos that the manifest has already."""
        return Manifest(self.output).photos() if self.continues else set()


def prepare(job: ReconstructJob, overwrite: bool = False) -> PreparedJob:
    """List the photos and check settings, assets and output; writes nothing.

    Parameters
    ----------
    job : what to do
    overwrite : start anew where the output folder holds an earlier run

    Raises
    ------
    FaceReconError
        when the job cannot start, with what to do about it
    """
    _check_assets(job)
    found = list_photos(job.input)
    output = OutputFolder(job.output)
    output.check_writable()
    settings = _result_settings(job)
    earlier = load_record(output.path)
    if earlier is None and (names := output.own_names()):
        raise OutputError(
            f"output {output.path}: {', '.join(names)} in it is not the result of a job; choose an empty folder"
        )
    if earlier is None or overwrite or not Manifest(output).parts():
        record = new_record(settings, found.root)
    else:
        _check_same(settings, earlier.settings, output.path)
        record = earlier
    return PreparedJob(job, output, found.photos[: job.limit], found.ignored, earlier, record)


def _result_settings(job: ReconstructJob) -> dict[str, Any]:
    """Settings that decide what comes out for a photo, as JSON values."""
    settings = job.model_dump(mode="json", exclude=set(_FREE_SETTINGS))
    return {**settings, "input": str(canonical_input(job.input))}


def _check_same(now: dict[str, Any], earlier: dict[str, Any], output: Path) -> None:
    flat_now, flat_earlier = dict(_flatten(now)), dict(_flatten(earlier))
    changed = [
        f"{name} was {flat_earlier.get(name)}, now is {flat_now.get(name)}"
        for name in sorted(flat_now.keys() | flat_earlier.keys())
        if flat_now.get(name) != flat_earlier.get(name)
    ]
    if changed:
        raise OutputError(
            f"output {output} holds a run with other settings ({'; '.join(changed)}); "
            "choose another output, or add --overwrite to delete that run"
        )


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in tree.items():
        flat += _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return flat


def _check_assets(job: ReconstructJob) -> None:
    if job.reconstruct.method == "two-view" and job.reconstruct.weights is None:
        raise SettingsError(
            "setting 'reconstruct.weights': the two-view method needs weights; add --weights FILE.safetensors"
        )
    assets = {
        "crop.landmark_model": job.crop.landmark_model,
        "face_model": job.face_model,
        "reconstruct.weights": job.reconstruct.weights,
    }
    for name, path in assets.items():
        if path is None:
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            raise AssetError(f"setting {name!r}: {path}: {error.strerror}") from None
