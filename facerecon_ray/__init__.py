"""3D face meshes from photos.

`reconstruct(image)` does one photo, `reconstruct(front, side)` two photos of a person; the `facerecon` command does
collections.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facerecon_ray.single_photo import Face, reconstruct

__all__ = ["Face", "reconstruct"]


def __getattr__(name: str) -> Any:
    """Import on first use: the stages bring torch and dlib, which the command line's help has no use for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facerecon_ray import single_photo

    return getattr(single_photo, name)
