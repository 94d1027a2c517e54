"""Photos of dressed heads: light on the mesh, the picture by one of two ways of drawing, background, and camera."""

import threading
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from facerecon_ray.config.synthesis import BackgroundSettings, OccluderSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.rendering.backgrounds import Backgrounds
from facerecon_ray.synthesis.rendering.camera_effects import take_photo, to_linear
from facerecon_ray.synthesis.rendering.drawing import MAX_LAMPS, Drawing, DrawnHead, DrawnPart, LitView
from facerecon_ray.synthesis.rendering.gl_drawing import GlDrawing
from facerecon_ray.synthesis.rendering.head_scene import SKIN, HeadScene, Part
from facerecon_ray.synthesis.rendering.lighting import HeadShadows, LightTransfer, directions
from facerecon_ray.synthesis.rendering.occluders import Occluders
from facerecon_ray.synthesis.rendering.raster_drawing import RasterDrawing
from facerecon_ray.synthesis.rendering.view_sampling import View

Backend = Literal["auto", "egl", "rasterizer"]

SKIN_EXPOSED, USUAL_SKIN = 0.36, 0.30
"""Linear light of usual skin in a rightly exposed photo, and the share of light that usual skin throws back."""

HELD_BACK, HELD_BACK_SHARE = ("hair", "beard", "headwear"), 0.6
"""Parts for which the meter also looks: it takes the skin for at least this share as light as they are."""

HALF_COVERED = 0.4
"""Between one and two of a pixel's four samples, so that no rounding decides."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """One photo and its truth.

    image     (S, S, 3) uint8 RGB
    mask      (S, S) bool, true where the head with all its parts is
    occluded  (S, S) bool, true where something lies before the picture
    points    (M, 3) float32 image frame, pixels: the scene's surface, with the photo's own projection
    """

    image: np.ndarray
    mask: np.ndarray
    occluded: np.ndarray
    points: np.ndarray


class SceneRenderer:
    """Takes photos of head scenes.

    Parameters
    ----------
    backend : egl draws with OpenGL, rasterizer with the project's own; auto takes the first where it starts
    backgrounds : what is behind the head
    occluders : settings of what is before it
    """

    def __init__(
        self,
        backend: Backend = "auto",
        backgrounds: Backgrounds | None = None,
        occluders: OccluderSettings | None = None,
    ) -> None:
        self._backend = backend
        self._backgrounds = backgrounds or Backgrounds(BackgroundSettings())
        self._occluders = Occluders(occluders or OccluderSettings())
        self._of_thread = threading.local()
        self._lit: LitScene | None = None

    @property
    def backend(self) -> Literal["egl", "rasterizer"]:
        """What draws in this thread; AssetError where egl was asked for and does not start."""
        return "egl" if isinstance(self._drawing(), GlDrawing) else "rasterizer"

    def render(self, scene: HeadScene, view: View) -> Rendering:
        """Take one photo; several of one scene in a row share what does not depend on the view.

        Raises
        ------
        AssetError
            when the backend is egl and does not start
        InputError
            when a file of the folder with backgrounds cannot be read
        """
        lit = self._lit
        if lit is None or lit.scene is not scene:
            lit = self._lit = LitScene.of(scene)
        drawn = self._drawing()(lit.head, lit.view(view), view.size)
        coverage = drawn[..., 3:]
        behind = to_linear(self._backgrounds.picture(view.background_seed, view.size))
        light = drawn[..., :3] * np.float32(lit.exposure(view)) + (1.0 - coverage) * behind
        points = view.project(scene.surface)
        mask = coverage[..., 0] > HALF_COVERED
        occluded = np.zeros_like(mask)
        if view.occluder_seed is not None:
            light, occluded = self._occluders.put_before(light, points, view.occluder_seed)
        return Rendering(take_photo(light, view.camera), mask, occluded, points)

    def _drawing(self) -> Drawing:
        """An OpenGL context belongs to the thread that made it, so every thread has its own."""
        drawing: Drawing | None = getattr(self._of_thread, "drawing", None)
        if drawing is None:
            drawing = self._of_thread.drawing = _start_drawing(self._backend)
        return drawing


def _start_drawing(backend: Backend) -> Drawing:
    if backend == "rasterizer":
        return RasterDrawing()
    try:
        return GlDrawing()
    except AssetError:
        if backend == "egl":
            raise
        return RasterDrawing()


@dataclass(frozen=True, eq=False)
class LitScene:
    """What all views of a scene share.

    scene     the dressed head
    head      its mesh
    vertices  (N, 3) float32 metres, head frame, those of all parts
    normals   (N, 3) float32 unit vectors
    transfer  how light reaches the vertices
    skin      (3,) mean share of red, green and blue light that the skin's front throws back
    metered   share of light that the head throws back for a camera's meter
    """

    scene: HeadScene
    head: DrawnHead
    vertices: np.ndarray
    normals: np.ndarray
    transfer: LightTransfer
    skin: np.ndarray
    metered: float

    @staticmethod
    def of(scene: HeadScene) -> "LitScene":
        parts = scene.parts
        normals = np.concatenate([_normals(part) for part in parts])
        vertices = np.concatenate([part.vertices for part in parts]).astype(np.float32)
        shadows = HeadShadows.of_default_model()
        surface = torch.from_numpy(scene.surface)[None]
        surface_normals = vertex_normals(surface, shadows.triangles, frame="model")[0].numpy()
        transfer = LightTransfer.of(
            shadows,
            scene.surface,
            surface_normals,
            vertices,
            normals,
            openness=np.concatenate([_per_vertex(part, part.openness, 1.0) for part in parts]),
            translucency=np.concatenate([_per_vertex(part, None, part.translucency) for part in parts]),
            casts=np.concatenate([np.full(len(part.vertices), part.casts) for part in parts]),
        )
        skin = _skin_colour(parts)
        return LitScene(scene, _drawn_head(parts), vertices, normals, transfer, skin, _metered(skin, parts))

    def view(self, view: View) -> LitView:
        """Light and project the scene; light is fixed to the camera, so its directions are turned into the head."""
        rotation = view.rotation
        towards = directions() @ rotation.T
        shares = view.light.lamp_shares(towards)[:, :MAX_LAMPS]
        normals = self.normals @ rotation.T
        facing = np.where(normals[:, 2:] < 0.0, -normals, normals)
        mirrored = 2.0 * facing[:, 2:] * facing - (0.0, 0.0, 1.0)
        return LitView(
            points=view.project(self.vertices),
            normals=normals,
            light=self.transfer.light(view.light.radiance(towards), self.skin),
            surround=view.light.surround(mirrored) * self.transfer.unhidden[:, None],
            lamp_visibility=self.transfer.lamp_visibility(shares),
            lamp_directions=view.light.lamp_directions[:MAX_LAMPS],
            lamp_colours=view.light.lamp_colours[:MAX_LAMPS],
        )

    def exposure(self, view: View) -> float:
        """Factor on linear light, the same for all poses: the meter sees the light from the camera's side."""
        towards = directions()
        weight = (0.5 + 0.5 * towards[:, 2]) ** 2
        level = float((weight @ view.light.radiance(towards)).mean() / weight.sum())
        as_usual = SKIN_EXPOSED / (USUAL_SKIN * level)
        return view.camera.exposure * as_usual * (USUAL_SKIN / self.metered) ** view.camera.skin_share


def _drawn_head(parts: tuple[Part, ...]) -> DrawnHead:
    triangles, drawn, first_vertex, first = [], [], 0, 0
    for part in parts:
        triangles.append(part.triangles + first_vertex)
        drawn.append(DrawnPart(first, first + len(part.triangles), part.texture, part.two_sided))
        first_vertex += len(part.vertices)
        first += len(part.triangles)
    return DrawnHead(
        triangles=np.concatenate(triangles),
        uv=np.concatenate([part.uv for part in parts]).astype(np.float32),
        gloss=np.concatenate([_per_vertex(part, None, part.gloss) for part in parts]),
        parts=tuple(drawn),
    )


def _per_vertex(part: Part, values: np.ndarray | None, otherwise: float) -> np.ndarray:
    return np.full(len(part.vertices), otherwise, np.float32) if values is None else values.astype(np.float32)


def _normals(part: Part) -> np.ndarray:
    """(N, 3) unit vectors; vertices at the same place, on the seams of a texture, share one."""
    if part.normals is not None:
        return part.normals.astype(np.float32)
    places, index = np.unique(part.vertices, axis=0, return_inverse=True)
    index = index.reshape(-1)
    points, triangles = torch.from_numpy(places)[None], torch.from_numpy(index[part.triangles])
    return vertex_normals(points, triangles, frame="model")[0].numpy()[index]


def _skin_colour(parts: tuple[Part, ...]) -> np.ndarray:
    """(3,) mean share of red, green and blue light that the skin's front throws back."""
    skin = next((part for part in parts if part.name == SKIN), parts[0])
    front = skin.uv[skin.vertices[:, 2] > np.quantile(skin.vertices[:, 2], 0.5)]
    height, width, _ = skin.texture.shape
    column, row = (front * (width, height)).astype(int).T
    colours = skin.texture[row.clip(0, height - 1), column.clip(0, width - 1), :3]
    return np.asarray(to_linear(colours).mean(0))


def _metered(skin: np.ndarray, parts: tuple[Part, ...]) -> float:
    """Share of light that the head throws back for a camera's meter: the skin's, or more where hair is far lighter."""
    around = [_reflectance(part.texture) for part in parts if part.name in HELD_BACK]
    return max(0.02, float(skin.mean()), *(HELD_BACK_SHARE * share for share in around))


def _reflectance(texture: np.ndarray) -> float:
    """Mean share of light that what is drawn of a texture throws back."""
    drawn = texture[..., :3] if texture.shape[2] == 3 else texture[texture[..., 3] >= 128][..., :3]
    return float(to_linear(drawn).mean()) if drawn.size else 0.0
