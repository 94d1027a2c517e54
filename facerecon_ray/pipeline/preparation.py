"""Everything that can be known or refused before Ray starts and before anything is written."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from facerecon_ray.config.assets import FACE_MODEL, FITTER_WEIGHTS, ROTATOR_WEIGHTS, SHIPPED_WEIGHTS
from facerecon_ray.config.reconstruct import ReconstructJob, of_today
from facerecon_ray.errors import OutputError
from facerecon_ray.jobs.changes import changes
from facerecon_ray.pipeline.face_files import FaceFiles
from facerecon_ray.pipeline.model_files import checksum
from facerecon_ray.stages.chain import ROTATE, needed
from facerecon_ray.storage.layout import PLAN
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.input_names import canonical_input
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.photos.known_photos import KnownPhotos
from facerecon_ray.storage.photos.pair_inputs import list_pairs
from facerecon_ray.storage.photos.photo_listing import PhotoListing
from facerecon_ray.storage.photos.photo_lists import is_list
from facerecon_ray.storage.photos.photo_plan import PhotoPlan
from facerecon_ray.storage.run_record import RunRecord, load_record, new_record
from facerecon_ray.storage.uris import name_of

# What may differ when a job is continued: how much and how fast, but not what comes out for a photo.
_FREE_SETTINGS = ("output", "limit", "pools", "report", "shard_photos", "s3", "faults")
_FREE_READ_SETTINGS = ("threads", "frames_per_second")
_CHUNK = 1000


@dataclass(frozen=True)
class PreparedJob:
    """A job that may start.

    listing       finds the photos of the input, once
    earlier       record of the run that the output holds already
    record        the earlier run's record when the job continues it, else a new one
    retry_failed  whether photos with a failed or unreadable row are done again
    """

    job: ReconstructJob
    output: OutputFolder
    listing: PhotoListing
    earlier: RunRecord | None
    record: RunRecord
    retry_failed: bool = False

    @property
    def continues(self) -> bool:
        """Whether the job goes on where an earlier run stopped."""
        return self.record is self.earlier

    @property
    def files(self) -> FaceFiles:
        """Where the files of the faces go."""
        return FaceFiles(
            output=self.output.uri,
            s3=self.job.s3,
            photo_root=self.record.photo_root,
            mesh_suffix=self.job.export.format,
            viewer_photos=self.job.report.gallery_faces,
            pack=self.job.export.pack,
        )

    def count(self) -> tuple[int, int]:
        """Photos of the job and how many of them are done, found out by listing the whole input."""
        plan = PhotoPlan(self.output.store, self.job.shard_photos)
        shards = set(Manifest(self.output).shards()) if self.continues else set()
        known, done = KnownPhotos(), 0
        for _, stored in plan.stored() if self.continues else ():
            for shard in stored:
                known.add_new(shard.photos)
                done += len(shard.photos) if shard.number in shards else 0
        photos = iter(self.listing)
        while chunk := list(islice(photos, _CHUNK)):
            known.add_new(chunk)
        return min(len(known), self.job.limit or len(known)), done


def describe_photos(console: Console, prepared: PreparedJob, photos: int, done: int) -> None:
    """Say what the input holds and how much of it is done."""
    others = f"; other files passed over: {prepared.listing.ignored}" if prepared.listing.ignored else ""
    console.print(
        f"{photos} {'pairs' if prepared.job.pairs else 'photos'} in {prepared.job.input}{others}",
        markup=False,
        soft_wrap=True,
    )
    if done:
        rest = "those that failed are done again" if prepared.retry_failed else f"{photos - done} to do"
        console.print(f"Continuing: {done} of them are done, {rest}", markup=False, soft_wrap=True)


def prepare(job: ReconstructJob, overwrite: bool = False, retry_failed: bool = False) -> PreparedJob:
    """Find the input's first photo and check settings, assets and output; writes nothing.

    Parameters
    ----------
    job : what to do
    overwrite : start anew where the output holds an earlier run
    retry_failed : do photos again whose row is failed or unreadable

    Raises
    ------
    FaceReconError
        when the job cannot start, with what to do about it
    """
    assets = _checked_assets(job)
    output = OutputFolder(job.output, job.s3)
    listing = _listing(job, output)
    listing.require_one()
    output.check_writable()
    settings = _result_settings(job)
    earlier = load_record(output.store)
    if earlier is None and (names := output.own_names()):
        raise OutputError(
            f"output {output.uri}: {', '.join(names)} in it is not the result of a job; choose an empty folder"
        )
    if earlier is None or overwrite or not Manifest(output).parts():
        record = new_record(settings, listing.root, assets)
        record.people = earlier.people if earlier else []
    else:
        if PLAN not in output.own_names():
            raise OutputError(
                f"output {output.uri} holds a run of an earlier version, which cannot be continued; "
                "choose another output, or add --overwrite to delete that run"
            )
        now = {**settings, **assets, "input": _identity(job.input, earlier.settings["input"])}
        if changed := changes(now, {**of_today(earlier.settings), **earlier.assets}):
            raise OutputError(
                f"output {output.uri} holds a run with other settings ({'; '.join(changed)}); "
                "choose another output, or add --overwrite to delete that run"
            )
        record = earlier
        if now["input"] != settings["input"]:
            _check_known_list(job, output, earlier.settings["input"])
    return PreparedJob(job, output, listing, earlier, record, retry_failed)


def _listing(job: ReconstructJob, output: OutputFolder) -> PhotoListing:
    if job.pairs:
        return list_pairs(job.input, job.s3, output.uri)
    return list_photos(job.input, job.s3, output.uri, job.read)


def _result_settings(job: ReconstructJob) -> dict[str, Any]:
    """Settings that decide what comes out for a photo, as JSON values; model files count by their contents."""
    settings = job.model_dump(mode="json", exclude=set(_FREE_SETTINGS))
    for name in _FREE_READ_SETTINGS:
        del settings["read"][name]
    # Runs of earlier versions have no such settings.
    if not job.pairs:
        del settings["pairs"]
    if job.export.pack == "none":
        del settings["export"]["pack"]
    if job.export.meshes:
        del settings["export"]["meshes"]
    if not job.people.enabled:
        del settings["people"]
    del settings["face_model"], settings["fitter"]
    del settings["crop"]["landmark_model"], settings["rotate"]["weights"], settings["reconstruct"]["weights"]
    return {**settings, "input": canonical_input(job.input)}


def _identity(source: str, earlier: str) -> str:
    """Name of an input as an earlier run knows it: a list of photos is the same wherever its file lies."""
    where = canonical_input(source)
    return earlier if is_list(where) and is_list(earlier) and not Path(where).is_dir() else where


def _check_known_list(job: ReconstructJob, output: OutputFolder, earlier: str) -> None:
    """A list of another name must have something of what was planned in it; one of the same name may be another day's.

    Raises
    ------
    OutputError
        when it has nothing
    """
    if name_of(canonical_input(job.input)) == name_of(earlier):
        return
    stored = PhotoPlan(output.store, job.shard_photos).stored()
    planned = {photo for _, shards in islice(stored, 1) for shard in shards for photo in shard.photos}
    if planned and planned.isdisjoint(_listing(job, output)):
        raise OutputError(
            f"output {output.uri} holds photos of the list {earlier}, of which {job.input} has none; "
            "choose another output, or add --overwrite to delete that run"
        )


def _uses_fitter(job: ReconstructJob) -> bool:
    return job.crop.landmarks == "network" or job.fit.method == "network"


def _repairs(job: ReconstructJob) -> bool:
    return job.rotate.repair == "network" and ROTATE in needed(job)


def _checked_assets(job: ReconstructJob) -> dict[str, str]:
    """SHA-256 of the model files that the results depend on, by setting; those of installed packages have versions."""
    assets = {
        "crop.landmark_model": job.crop.landmark_model,
        "face_model": job.face_model or FACE_MODEL,
        "fitter": (job.fitter or FITTER_WEIGHTS) if _uses_fitter(job) else None,
        "rotate.weights": (job.rotate.weights or ROTATOR_WEIGHTS) if _repairs(job) else None,
        "reconstruct.weights": job.reconstruct.weights or SHIPPED_WEIGHTS.get(job.reconstruct.method),
    }
    checksums = {}
    for name, path in assets.items():
        if path is None:
            continue
        checksums[name] = checksum(name, path)
    return checksums
