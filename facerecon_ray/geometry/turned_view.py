"""The same face seen from another side: render the fitted head at a new pose with the photo's own texture.

Every pixel of the new view knows which point of the head it sees and therefore which pixel of the photo showed that
point, if any did. Pixels that the photo did not see are marked; filling them is another module's task.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.box_means import mean_around
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import Fragments, interpolate, rasterize

FRONTAL_LIMIT, YAW_LIMIT = 45.0, 90.0

DEPTH_TOLERANCE = 0.006
"""Metres by which a point may lie behind the surface that the photo shows at its pixel and still count as seen."""

GRAZING, FACING = 0.15, 0.40
"""Cosine of the angle between the normal and the line of sight at which a pixel begins to count, and counts fully."""

PHOTO_MARGIN = 6.0
"""Pixels inside a photo's border over which what it shows gives way to what stands in beyond it."""

OUTLINE = 5
"""Pixels inside the outline of the head over which the colours of the photo begin to count: where a fitted head is
wider than the real one, the photo shows the background there."""


@dataclass(frozen=True)
class TurnedView:
    """Renders of a batch of heads.

    picture    (B, 3, H, W) float32 0 to 255, the photo's pixels where seen > 0
    seen       (B, 1, H, W) float32 how well the photo saw the point, 0 to 1
    mirrored   (B, 3, H, W) the photo's pixels of the mirrored point of the head
    mirror_seen (B, 1, H, W) how well the photo saw the mirrored point, 0 to 1
    head       (B, 1, H, W) bool, true where the head is
    face       (B, 1, H, W) bool, true where the face region is
    photo_head (B, 1, H, W) bool, true where the head is in the photo
    camera     the cameras of the new view
    """

    picture: Tensor
    seen: Tensor
    mirrored: Tensor
    mirror_seen: Tensor
    head: Tensor
    face: Tensor
    photo_head: Tensor
    camera: Camera


def turned_yaw(yaw: Tensor, change: float) -> Tensor:
    """Yaw of the second view: a face nearer to frontal turns further to its side, one nearer to profile to the front.

    Parameters
    ----------
    yaw : (B,) degrees
    change : degrees

    Returns
    -------
    (B,) degrees in [-90, 90]
    """
    to_side = torch.where(yaw.abs() < FRONTAL_LIMIT, change, -change)
    side = torch.where(yaw < 0, -1.0, 1.0)
    return (side * (yaw.abs() + to_side)).clamp(-YAW_LIMIT, YAW_LIMIT)


def target_angles(angles: Tensor, yaw_change: float, keep_pitch: bool) -> Tensor:
    """Angles (B, 3) of the second view, degrees: turned in yaw, level unless the pitch is kept, with the same roll.

    Parameters
    ----------
    angles : (B, 3) yaw, pitch, roll in degrees
    yaw_change : degrees
    keep_pitch : whether the pitch stays
    """
    yaw, pitch, roll = angles.unbind(-1)
    return torch.stack([turned_yaw(yaw, yaw_change), pitch if keep_pitch else torch.zeros_like(pitch), roll], -1)


def followed_angles(pose: Tensor, step: Tensor, yaw_change: float, keep_pitch: bool) -> Tensor:
    """Angles (B, 3) at which heads are to be seen beside second views that were made of estimates of their poses.

    They turn by as much as the estimate did, to the same side even where the estimate lies on the other side of a
    limit.

    Parameters
    ----------
    pose : (B, 3) true yaw, pitch, roll in degrees
    step : (B,) degrees by which the estimate's yaw changed; nan where there is no second view
    yaw_change, keep_pitch : as for `target_angles`
    """
    wanted = target_angles(pose, yaw_change, keep_pitch)
    followed = (pose[:, 0] + step).clamp(-YAW_LIMIT, YAW_LIMIT)
    return torch.cat([torch.where(step.isnan(), wanted[:, 0], followed)[:, None], wanted[:, 1:]], 1)


def turn_view(
    model: FaceModel, photos: Tensor, vertices: Tensor, camera: Camera, angles: Tensor, bounds: Tensor | None = None
) -> TurnedView:
    """Render heads at new angles with the texture of their photos.

    Scale and distance stay; the picture is moved so that the middle of the face region stays where it was.

    Parameters
    ----------
    model : gives the mesh
    photos : (B, 3, H, W) float32 0 to 255
    vertices : (B, N, 3) fitted heads, metres
    camera : fitted cameras, pixels of the photos
    angles : (B, 3) new yaw, pitch, roll in degrees
    bounds : (B, 4, 3) borders of what the pictures really show, as `photo_bounds` gives them; None if all of them
    """
    height, width = photos.shape[-2:]
    points = camera.project(vertices)
    turned_camera = recentred(camera, angles, vertices[:, model.face_vertices], points[:, model.face_vertices])
    triangles = model.closed_triangles
    photo_fragments = rasterize(points, triangles, height, width, cull_back=True)
    facing = facing_camera(points, triangles)
    tolerance = DEPTH_TOLERANCE * camera.scale
    turned = rasterize(turned_camera.project(vertices), triangles, height, width, cull_back=True)
    origin = interpolate(turned, triangles, torch.cat([points, facing], -1))
    mirror_origin = interpolate(turned, triangles, torch.cat([points, facing], -1)[:, model.mirror])
    trust = _inside_outline(photo_fragments.mask)
    if bounds is not None:
        trust = trust * inside_photo(bounds, height, width)
    picture, seen = look_up_colours(photos, photo_fragments, origin, tolerance, trust)
    mirrored, mirror_seen = look_up_colours(photos, photo_fragments, mirror_origin, tolerance, trust)
    head = (turned.triangle >= 0)[:, None]
    in_face = torch.zeros(len(triangles) + 1, dtype=torch.bool, device=photos.device)
    in_face[model.face_triangles] = True
    in_face[len(model.triangles) : -1] = True
    return TurnedView(
        picture,
        seen * head,
        mirrored,
        mirror_seen * head,
        head,
        in_face[turned.triangle][:, None],
        (photo_fragments.triangle >= 0)[:, None],
        turned_camera,
    )


def recentred(camera: Camera, angles: Tensor, face: Tensor, points: Tensor) -> Camera:
    """Cameras with other angles that keep the middle of the face region, (B, M, 3) metres, where its points were."""
    turned = camera.with_angles(angles)
    middle = (points.amax(1) + points.amin(1)) / 2
    moved = turned.project(face)
    return turned.moved_to(turned.translation + (middle - (moved.amax(1) + moved.amin(1)) / 2)[:, :2])


def second_camera(model: FaceModel, camera: Camera, vertices: Tensor, yaw_change: float, keep_pitch: bool) -> Camera:
    """Cameras of the second views of heads, (B, N, 3) metres, that cameras see; settings as for `target_angles`."""
    angles, face = target_angles(camera.angles, yaw_change, keep_pitch), model.face_vertices
    return recentred(camera, angles, vertices[:, face], camera.project(vertices)[:, face])


def facing_camera(points: Tensor, triangles: Tensor) -> Tensor:
    """(B, N, 1) cosine between the surface's normal and the line of sight, negative on the far side."""
    a, b, c = points[:, triangles].unbind(2)
    normals = torch.linalg.cross(b - a, c - a, dim=-1)
    sums = torch.zeros_like(points)
    for corner in range(3):
        sums.index_add_(1, triangles[:, corner], normals)
    return -functional.normalize(sums, dim=-1)[..., 2:]


def inside_photo(bounds: Tensor, height: int, width: int) -> Tensor:
    """(B, 1, H, W) 0 where pictures go on beyond their photos, rising to 1 over `PHOTO_MARGIN` pixels inside them.

    bounds : (B, 4, 3) the photos' borders, as `photo_bounds` gives them
    """
    across, down = (torch.arange(size, device=bounds.device) + 0.5 for size in (width, height))
    a, b, c = bounds[..., None, None].unbind(2)
    return ((a * across + (b * down[:, None] + c)).amin(1, keepdim=True) / PHOTO_MARGIN).clamp(0, 1)


def _inside_outline(mask: Tensor) -> Tensor:
    """(B, 1, H, W) 0 on the outline of heads' masks (B, H, W), rising to 1 over `OUTLINE` pixels inside."""
    around = functional.pad(mask[:, None].float(), (OUTLINE,) * 4, mode="replicate")
    share = mean_around(around, OUTLINE)[..., OUTLINE:-OUTLINE, OUTLINE:-OUTLINE]
    return (2 * share - 1).clamp(0, 1)


def look_up_colours(
    photos: Tensor, fragments: Fragments, origin: Tensor, tolerance: Tensor, trust: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Colours (B, 3, H, W) at places in the photo, and how well they were seen (B, 1, H, W).

    origin : (B, H, W, 4) x, y and z in the photo's image frame, and facing
    trust : (B, 1, H, W) how far each of the photo's pixels shows the head, 0 to 1; None if all do
    """
    grid = _sampling_grid(origin, fragments)
    colours = functional.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    return colours, _how_well_seen(fragments, origin, grid, tolerance, trust)


def how_well_seen(fragments: Fragments, origin: Tensor, tolerance: Tensor, trust: Tensor | None = None) -> Tensor:
    """(B, 1, H, W) how well a photo shows points, 0 to 1; as for `look_up_colours`."""
    return _how_well_seen(fragments, origin, _sampling_grid(origin, fragments), tolerance, trust)


def _how_well_seen(
    fragments: Fragments, origin: Tensor, grid: Tensor, tolerance: Tensor, trust: Tensor | None
) -> Tensor:
    depth = functional.grid_sample(
        fragments.depth[:, None].clamp(min=-1e6), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    in_front = origin[..., 2][:, None] > depth - tolerance[:, None, None, None]
    inside = (grid.abs() < 1).all(-1)[:, None]
    seen = ((origin[..., 3][:, None] - GRAZING) / (FACING - GRAZING)).clamp(0, 1) * (in_front & inside)
    if trust is not None:
        seen = seen * functional.grid_sample(trust, grid, padding_mode="border", align_corners=False)
    return seen


def _sampling_grid(origin: Tensor, fragments: Fragments) -> Tensor:
    """(B, H, W, 2) places in the photo that was drawn as fragments, -1 to 1."""
    height, width = fragments.depth.shape[-2:]
    return 2 * origin[..., :2] / origin.new_tensor([width, height]) - 1
