"""A crop and its mirror image, both looked at by the fitter's network, and what the two say of the face joined.

Only the points are looked for from which the face follows, which takes two thirds of the time of all of them.

A mirrored face is as likely a face, and the network errs in it in another way: the mean of both is closer than either,
for twice the network's time (test-time augmentation: Krizhevsky et al., ImageNet Classification with Deep
Convolutional Neural Networks, 2012, section 4.1).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.pose import Camera, angles_from_rotation
from facerecon_ray.networks.fitter import FittedFaces, FitterNetwork, Output


def look_both_ways(
    network: FitterNetwork, crops: Tensor, run: Callable[[Tensor, Tensor], Output] | None = None
) -> FittedFaces:
    """What the network says of crops (B, 3, 192, 192) in [0, 1] and of their mirror images.

    Parameters
    ----------
    network : knows which point is which in the mirror, and what faces follow from points
    crops : (B, 3, 192, 192) in [0, 1]
    run : gives the network's output where it is not the network that is to be called

    Returns
    -------
    the faces, with the telling points
    """
    rows, output = len(crops), (run or network)(torch.cat([crops, crops.flip(-1)]), network.telling)
    with torch.autocast(crops.device.type, enabled=False):
        faces = network.read(output)
        there, back = faces.part(slice(rows)), _mirror_image(faces.part(slice(rows, None)), network.mirrored)
        return joined(network, [there, back])


def joined(network: FitterNetwork, looks: list[FittedFaces]) -> FittedFaces:
    """The mean of what looks at the same crops say of the telling points; the face follows from the mean of those."""
    cameras = [look.camera for look in looks]
    points = _mean([look.points for look in looks])
    left, _, right = torch.linalg.svd(_mean([look.rotation for look in looks]))
    rotation = left @ right
    coefficients = network.coefficients(points, rotation)
    shape, expression = coefficients.split([looks[0].shape.shape[1], looks[0].expression.shape[1]], 1)
    camera = Camera.from_row(angles_from_rotation(rotation), _mean([camera.row for camera in cameras]))
    deviation = _mean([look.deviation.square() for look in looks]).sqrt()
    return FittedFaces(camera, rotation, shape, expression, points, deviation, _mean([look.spread for look in looks]))


def _mirror_image(faces: FittedFaces, mirrored: Tensor) -> FittedFaces:
    """Faces seen in mirrored crops, as they lie in the crops; their coefficients are not mirrored."""
    flip = torch.tensor([-1.0, 1.0, 1.0], device=faces.rotation.device)
    rotation = flip[:, None] * faces.rotation * flip
    camera = faces.camera.with_angles(angles_from_rotation(rotation)).moved_to(_across(faces.camera.translation))
    return FittedFaces(
        camera,
        rotation,
        faces.shape,
        faces.expression,
        _across(faces.points)[:, mirrored],
        faces.deviation[:, mirrored],
        faces.spread,
    )


def _across(points: Tensor) -> Tensor:
    """Points (..., 2) of a crop, pixels, in its mirror image."""
    return torch.stack([CROP_SIZE - points[..., 0], points[..., 1]], -1)


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean(0)
