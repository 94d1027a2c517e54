"""3D face meshes from photos.

`reconstruct(image)` does one photo, `reconstruct(front, side)` and `reconstruct([photo, ...])` several photos of one
person; the `facerecon` command does collections.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facerecon_ray.in_process.person_photos import Person
    from facerecon_ray.in_process.single_photo import Face, reconstruct

__all__ = ["Face", "Person", "reconstruct"]


def __getattr__(name: str) -> Any:
    """Import on first use: the stages bring torch and dlib, which the command line's help has no use for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facerecon_ray.in_process import person_photos, single_photo

    return getattr(person_photos if name == "Person" else single_photo, name)
