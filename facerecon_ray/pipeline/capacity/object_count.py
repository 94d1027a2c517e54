"""How many objects a job writes: what many small ones cost in a bucket is said before they are there."""

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.storage.photos.photo_plan import shard_sizes

_MANY = 1000


def describe_objects(job: ReconstructJob, photos: int, faces_per_photo: float = 1.0) -> str:
    """One line for people."""
    count = object_count(job, photos, faces_per_photo)
    line = f"About {count:,} objects in the output"
    packed = job.model_copy(update={"export": job.export.model_copy(update={"pack": "shard"})})
    fewer = object_count(packed, photos, faces_per_photo)
    has_files = job.export.meshes or job.export.previews
    return f"{line}; with --pack shard {fewer:,}" if has_files and count >= _MANY and fewer < count else line


def object_count(job: ReconstructJob, photos: int, faces_per_photo: float = 1.0) -> int:
    """Objects in the output of a job that is done, without the few that every job has."""
    faces, shards = round(photos * faces_per_photo), sum(1 for _ in shard_sizes(photos, job.shard_photos))
    shown = min(job.report.gallery_faces, faces)
    meshes, previews = int(job.export.meshes), int(job.export.previews)
    files = faces * (meshes + previews) if job.export.pack == "none" else shards + shown * previews
    return files + shown * meshes + shards
