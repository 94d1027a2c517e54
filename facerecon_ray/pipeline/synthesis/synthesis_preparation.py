"""Everything about a training data set that can be known or refused before Ray starts."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from facerecon_ray.config.assets import FACE_MODEL, FITTER_WEIGHTS
from facerecon_ray.config.reconstruct import of_today
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import OutputError, SettingsError
from facerecon_ray.jobs.changes import changes
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.landmark_predictor import DEFAULT_MODEL
from facerecon_ray.storage.input_files import fingerprint, input_files
from facerecon_ray.storage.layout import CARD, SHARDS
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.pairs.dataset_card import (
    GENERATOR_VERSION,
    DatasetCard,
    checksum,
    load_card,
    new_card,
)
from facerecon_ray.storage.pairs.pair_schema import PAIR_SCHEMA_VERSION
from facerecon_ray.storage.pairs.pair_shards import ShardSummary, intact_shards

# What may differ when a set is continued: how much and how fast, but not what a subject looks like.
_FREE_SETTINGS = ("output", "subjects", "photos", "pool", "s3")
USUAL_SUBJECTS = 100
_NAMED_CHANGES = 5


@dataclass(frozen=True)
class ShardTask:
    """One unit of work: a shard and its run of subjects."""

    index: int
    first: int
    subjects: int


@dataclass(frozen=True)
class PreparedSet:
    """A data set that may be made or continued.

    store     where it goes
    subjects  how many it is to hold
    card      the earlier run's card when the set is continued, else a new one
    earlier   card of the set that the output holds already
    done      shards that are there, by number
    todo      shards that are missing
    """

    job: SynthesisJob
    store: ObjectStore
    subjects: int
    card: DatasetCard
    earlier: DatasetCard | None
    done: dict[int, ShardSummary]
    todo: list[ShardTask]


def prepare_synthesis(
    job: SynthesisJob, overwrite: bool = False, report: Callable[[str], None] = lambda line: None
) -> PreparedSet:
    """Check settings, sources and output, and find out what is missing; writes nothing into the output.

    Parameters
    ----------
    job : what to make
    overwrite : start anew where the output holds an earlier set
    report : receives a line now and then while skin textures are taken from photos

    Raises
    ------
    FaceReconError
        when the set cannot be made, with what to do about it
    """
    store = open_store(job.output, job.s3)
    subjects = _subjects(job)
    assets = {name: checksum(path) for name, path in asset_files(job).items()} | _collections(job, report)
    card = new_card(_result_settings(job), job.seed, subjects, assets)
    earlier = load_card(store)
    if earlier is None and next(iter(store.list(f"{SHARDS}/")), None):
        raise OutputError(f"output {store.uri}: it has {SHARDS} but no {CARD}; choose another output")
    tasks = {task.index: task for task in _tasks(subjects, job.shards.subjects)}
    if overwrite or earlier is None:
        return PreparedSet(job, store, subjects, card, earlier, {}, list(tasks.values()))
    _check_same(card, earlier, store.uri)
    done = intact_shards(store)
    _check_not_larger(done, subjects, store.uri)
    kept = {i: shard for i, shard in done.items() if shard.subjects == tasks[i].subjects}
    todo = [task for i, task in tasks.items() if i not in kept]
    card = earlier.model_copy(update={"subjects": subjects}, deep=True)
    return PreparedSet(job, store, subjects, card, earlier, kept, todo)


def asset_files(job: SynthesisJob) -> dict[str, Path]:
    """Files that decide what is in a set, by name."""
    files = {}
    if job.imports is not None:
        files["face_model"] = job.imports.face_model
        if job.imports.face_uv:
            files["face_uv"] = job.imports.face_uv
    else:
        files["face_model"] = job.face_model or FACE_MODEL
    if job.pairs.partners and not job.fits_landmarks:
        files["fitter"] = job.fitter or FITTER_WEIGHTS
    elif job.fits_landmarks and job.pairs.landmarks == "predicted":
        files["landmark_model"] = job.pairs.landmark_model or installed_model(DEFAULT_MODEL)
    return files


def views_of_each(job: SynthesisJob) -> int | None:
    """Views of a subject, None where that is known only when its files are read."""
    if job.imports is not None:
        return None
    return len(job.views.yaws if job.profile is None else job.profiling.yaws)


def _result_settings(job: SynthesisJob) -> dict[str, Any]:
    """Settings that decide what is in a set, as JSON values."""
    settings = job.model_dump(mode="json", exclude=set(_FREE_SETTINGS))
    if not job.profile:
        settings.pop("profiling")
    textures = settings.pop("textures")
    # What the cache holds follows from the photos, and what they hold is in the assets.
    textures.pop("cache")
    return {**settings, "textures": textures} if job.photos else settings


def _subjects(job: SynthesisJob) -> int:
    if job.imports is not None and job.profile is not None:
        raise SettingsError("settings 'imports' and 'profile': make one set of each, each in an output of its own")
    if job.imports is None and job.profile is None:
        return job.subjects or USUAL_SUBJECTS
    from facerecon_ray.pipeline.synthesis.pair_source import open_source

    return min(len(open_source(job)), job.subjects or sys.maxsize)


def _collections(job: SynthesisJob, report: Callable[[str], None]) -> dict[str, str]:
    """Fingerprints of the folders that a set is made from; workers find the skin textures in the cache afterwards."""
    for name, place in (("imports", job.imports and job.imports.folder), ("profile", job.profile)):
        if place:
            store = open_store(place, job.s3)
            return {name: fingerprint(store, (found.name for found in input_files(store, (job.output,), CARD)))}
    prints = {}
    if job.backgrounds.folder:
        from facerecon_ray.synthesis.rendering.backgrounds import Backgrounds

        pictures = Backgrounds(job.backgrounds, (job.output,)).collection()
        assert pictures is not None
        prints["backgrounds"] = pictures.fingerprint
        if pictures.damaged:
            report(
                f"{pictures.damaged} of {pictures.pictures} pictures in {job.backgrounds.folder} cannot be read; "
                "they are no backgrounds"
            )
    if job.photos is not None:
        from facerecon_ray.synthesis.people.subjects import head_geometry
        from facerecon_ray.synthesis.subject_views import open_photos

        prints["photos"] = open_photos(job, head_geometry(job.face_model), report).fingerprint
    return prints


def _tasks(subjects: int, size: int) -> list[ShardTask]:
    return [ShardTask(i, i * size, min(size, subjects - i * size)) for i in range(ceil(subjects / size))]


def _check_same(now: DatasetCard, earlier: DatasetCard, output: str) -> None:
    """A set must not hold subjects that were made in different ways."""
    trees = ({**of_today(card.settings), "assets": card.assets} for card in (now, earlier))
    changed = changes(*trees)
    for name, was, is_now in (
        ("generator", earlier.generator, GENERATOR_VERSION),
        ("schema", earlier.schema_version, PAIR_SCHEMA_VERSION),
    ):
        if was != is_now:
            changed.append(f"the {name}'s version was {was}, now is {is_now}")
    if changed:
        more = f" and {len(changed) - _NAMED_CHANGES} more" if len(changed) > _NAMED_CHANGES else ""
        raise OutputError(
            f"output {output} holds a set that was made otherwise ({'; '.join(changed[:_NAMED_CHANGES])}{more}); "
            "choose another output, or add --overwrite to delete that set"
        )


def _check_not_larger(done: dict[int, ShardSummary], subjects: int, output: str) -> None:
    there = max((shard.first + shard.subjects for shard in done.values()), default=0)
    if there > subjects:
        raise OutputError(
            f"output {output} holds {there} subjects already, more than {subjects}; ask for at least as many, "
            "or choose another output"
        )
