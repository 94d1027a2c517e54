"""Heads drawn with OpenGL, offscreen through EGL: on a GPU where there is one, else on the CPU with Mesa's llvmpipe.

The context is pyrender2's; the shader is this project's, because the light is worked out beforehand. A context belongs
to the thread that made it, so an object of this class is made and used in one thread.
"""

import ctypes
import os
from types import ModuleType
from typing import Any

import numpy as np

from facerecon_ray.errors import AssetError
from facerecon_ray.synthesis.rendering.drawing import (
    FULL_GLOSS,
    MAX_LAMPS,
    REFLECTANCE,
    SHEEN,
    SUPERSAMPLING,
    DrawnHead,
    DrawnPart,
    LitView,
)

VERTEX_SHADER = """#version 330 core
layout(location = 0) in vec3 point;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 light;
layout(location = 3) in vec3 surround;
layout(location = 4) in vec2 lamp_visibility;
layout(location = 5) in vec2 uv;
layout(location = 6) in float gloss;
uniform vec3 scale;
uniform vec3 shift;
out vec3 v_normal;
out vec3 v_light;
out vec3 v_surround;
out vec2 v_visibility;
out vec2 v_uv;
out float v_gloss;
void main() {
    gl_Position = vec4(point * scale + shift, 1.0);
    v_normal = normal;
    v_light = light;
    v_surround = surround;
    v_visibility = lamp_visibility;
    v_uv = uv;
    v_gloss = gloss;
}
"""

FRAGMENT_SHADER = f"""#version 330 core
in vec3 v_normal;
in vec3 v_light;
in vec3 v_surround;
in vec2 v_visibility;
in vec2 v_uv;
in float v_gloss;
uniform sampler2D albedo;
uniform bool cut_out;
uniform int lamp_count;
uniform vec3 lamp_directions[{MAX_LAMPS}];
uniform vec3 half_vectors[{MAX_LAMPS}];
uniform vec3 mirrored_colours[{MAX_LAMPS}];
out vec4 colour;
void main() {{
    vec4 texel = texture(albedo, v_uv);
    if (cut_out && texel.a < 0.5) discard;
    vec3 n = normalize(v_normal);
    n = n.z < 0.0 ? -n : n;
    float grazing = 1.0 - clamp(n.z, 0.0, 1.0);
    grazing *= grazing;
    vec3 mirrored = v_surround * ({REFLECTANCE} + {SHEEN} * grazing * grazing);
    float exponent = exp2(1.0 + 9.0 * v_gloss);
    for (int lamp = 0; lamp < lamp_count; lamp++) {{
        float lobe = (exponent + 2.0) / 8.0 * pow(max(dot(n, half_vectors[lamp]), 1e-6), exponent);
        mirrored += mirrored_colours[lamp] * (lobe * max(dot(n, lamp_directions[lamp]), 0.0) * v_visibility[lamp]);
    }}
    mirrored *= min(v_gloss / {FULL_GLOSS}, 1.0);
    colour = vec4(texel.rgb * v_light + mirrored, 1.0);
}}
"""

ATTRIBUTES = (
    ("points", 3), ("normals", 3), ("light", 3), ("surround", 3), ("lamp_visibility", MAX_LAMPS),
    ("uv", 2), ("gloss", 1),
)  # fmt: skip
UNIFORMS = ("scale", "shift", "cut_out", "albedo", "lamp_count")
STRIDE = 4 * sum(width for _, width in ATTRIBUTES)


class GlDrawing:
    """Draws with OpenGL.

    Raises
    ------
    AssetError
        when EGL or pyrender2 is missing or does not start
    """

    def __init__(self) -> None:
        self._platform, self._gl = _start_context()
        gl = self._gl
        self._program = _program(gl)
        self._places = {
            name: gl.glGetUniformLocation(self._program, name)
            for name in (*UNIFORMS, "lamp_directions", "half_vectors", "mirrored_colours")
        }
        self._array = gl.glGenVertexArrays(1)
        self._vertices, self._indices = (int(name) for name in gl.glGenBuffers(2))
        self._size = 0
        self._buffers: list[int] = []
        self._frames: list[int] = []
        self._head: DrawnHead | None = None
        self._textures: list[int] = []
        self._lay_out_attributes()

    def __call__(self, head: DrawnHead, view: LitView, size: int) -> np.ndarray:
        """(size, size, 4) float32 linear red, green, blue and coverage, colours multiplied by the coverage."""
        gl = self._gl
        if size != self._size:
            self._resize(size)
        if head is not self._head:
            self._upload(head)
        self._send(head, view)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._frames[0])
        fine = SUPERSAMPLING * size
        gl.glViewport(0, 0, fine, fine)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT)
        self._set_view(view, size)
        for part, texture in zip(head.parts, self._textures, strict=True):
            self._draw(part, texture)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._frames[0])
        gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._frames[1])
        gl.glBlitFramebuffer(0, 0, fine, fine, 0, 0, size, size, gl.GL_COLOR_BUFFER_BIT, gl.GL_LINEAR)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._frames[1])
        picture = np.zeros((size, size, 4), np.float32)
        gl.glReadPixels(0, 0, size, size, gl.GL_RGBA, gl.GL_FLOAT, picture)
        return picture

    def _lay_out_attributes(self) -> None:
        gl = self._gl
        gl.glBindVertexArray(self._array)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._vertices)
        gl.glBindBuffer(gl.GL_ELEMENT_ARRAY_BUFFER, self._indices)
        start = 0
        for place, (_, width) in enumerate(ATTRIBUTES):
            gl.glEnableVertexAttribArray(place)
            gl.glVertexAttribPointer(place, width, gl.GL_FLOAT, False, STRIDE, ctypes.c_void_p(4 * start))
            start += width

    def _resize(self, size: int) -> None:
        """Make the frame with several samples a pixel and the one that they are averaged into."""
        fine = SUPERSAMPLING * size
        gl = self._gl
        if self._frames:
            gl.glDeleteFramebuffers(len(self._frames), self._frames)
            gl.glDeleteRenderbuffers(len(self._buffers), self._buffers)
        self._frames = [int(name) for name in gl.glGenFramebuffers(2)]
        self._buffers = [int(name) for name in gl.glGenRenderbuffers(3)]
        many, depth, single = self._buffers
        for buffer, side, kind in (
            (many, fine, gl.GL_RGBA16F),
            (depth, fine, gl.GL_DEPTH_COMPONENT24),
            (single, size, gl.GL_RGBA16F),
        ):
            gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, buffer)
            gl.glRenderbufferStorage(gl.GL_RENDERBUFFER, kind, side, side)
        for frame, colour in ((self._frames[0], many), (self._frames[1], single)):
            gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, frame)
            gl.glFramebufferRenderbuffer(gl.GL_FRAMEBUFFER, gl.GL_COLOR_ATTACHMENT0, gl.GL_RENDERBUFFER, colour)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._frames[0])
        gl.glFramebufferRenderbuffer(gl.GL_FRAMEBUFFER, gl.GL_DEPTH_ATTACHMENT, gl.GL_RENDERBUFFER, depth)
        self._size = size

    def _upload(self, head: DrawnHead) -> None:
        """Send what does not change with the pose: triangles and textures."""
        gl = self._gl
        gl.glBindVertexArray(self._array)
        indices = head.triangles.astype(np.uint32)
        gl.glBufferData(gl.GL_ELEMENT_ARRAY_BUFFER, indices.nbytes, indices, gl.GL_STATIC_DRAW)
        if self._textures:
            gl.glDeleteTextures(len(self._textures), self._textures)
        self._textures = [int(name) for name in np.atleast_1d(gl.glGenTextures(len(head.parts)))]
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
        for name, part in zip(self._textures, head.parts, strict=True):
            height, width, _ = part.texture.shape
            stored, given = (gl.GL_SRGB8_ALPHA8, gl.GL_RGBA) if part.cut_out else (gl.GL_SRGB8, gl.GL_RGB)
            pixels = np.ascontiguousarray(part.texture)
            gl.glBindTexture(gl.GL_TEXTURE_2D, name)
            gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, stored, width, height, 0, given, gl.GL_UNSIGNED_BYTE, pixels)
            gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MIN_FILTER, gl.GL_LINEAR)
            gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MAG_FILTER, gl.GL_LINEAR)
            for axis in (gl.GL_TEXTURE_WRAP_S, gl.GL_TEXTURE_WRAP_T):
                gl.glTexParameteri(gl.GL_TEXTURE_2D, axis, gl.GL_CLAMP_TO_EDGE)
        self._head = head

    def _send(self, head: DrawnHead, view: LitView) -> None:
        rows = np.zeros((len(view.points), STRIDE // 4), np.float32)
        start = 0
        for name, width in ATTRIBUTES:
            values = getattr(view if hasattr(view, name) else head, name)
            values = values[:, None] if values.ndim == 1 else values
            rows[:, start : start + values.shape[1]] = values
            start += width
        gl = self._gl
        gl.glBindVertexArray(self._array)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._vertices)
        gl.glBufferData(gl.GL_ARRAY_BUFFER, rows.nbytes, rows, gl.GL_STREAM_DRAW)

    def _set_view(self, view: LitView, size: int) -> None:
        """Rows of the picture lie in OpenGL's order from the bottom, so y stays as it is; the nearest z becomes -1."""
        gl = self._gl
        low, high = float(view.points[:, 2].min()) - 1.0, float(view.points[:, 2].max()) + 1.0
        gl.glUseProgram(self._program)
        gl.glUniform3f(self._places["scale"], 2.0 / size, 2.0 / size, -2.0 / (high - low))
        gl.glUniform3f(self._places["shift"], -1.0, -1.0, (high + low) / (high - low))
        count = len(view.lamp_directions)
        gl.glUniform1i(self._places["lamp_count"], count)
        for name, values in (
            ("lamp_directions", view.lamp_directions),
            ("half_vectors", view.half_vectors()),
            ("mirrored_colours", view.mirrored_colours()),
        ):
            gl.glUniform3fv(self._places[name], count, np.ascontiguousarray(values, np.float32))
        gl.glUniform1i(self._places["albedo"], 0)

    def _draw(self, part: DrawnPart, texture: int) -> None:
        gl = self._gl
        switch = gl.glDisable if part.two_sided else gl.glEnable
        switch(gl.GL_CULL_FACE)
        gl.glUniform1i(self._places["cut_out"], part.cut_out)
        gl.glBindTexture(gl.GL_TEXTURE_2D, texture)
        count, first = 3 * (part.stop - part.first), ctypes.c_void_p(12 * part.first)
        gl.glDrawElements(gl.GL_TRIANGLES, count, gl.GL_UNSIGNED_INT, first)


def _start_context() -> tuple[Any, ModuleType]:
    """pyrender2's EGL context, which lives as long as the object, and OpenGL's functions."""
    os.environ["PYOPENGL_PLATFORM"] = "egl"
    os.environ["PYGLET_HEADLESS"] = "1"
    try:
        from OpenGL import GL
        from pyrender.platforms.egl import EGLPlatform

        platform = EGLPlatform(1, 1)
        platform.init_context()
    except (ImportError, AttributeError, AssertionError, OSError, RuntimeError, IndexError) as error:
        raise AssetError(
            f"OpenGL does not start through EGL ({type(error).__name__}: {error}): install pyrender2 and the system's "
            "libegl1 and libgl1, or choose the renderer 'rasterizer'"
        ) from None
    GL.glEnable(GL.GL_DEPTH_TEST)
    GL.glFrontFace(GL.GL_CW)
    GL.glCullFace(GL.GL_BACK)
    GL.glClearColor(0.0, 0.0, 0.0, 0.0)
    return platform, GL


def _program(gl: ModuleType) -> int:
    program = gl.glCreateProgram()
    for kind, source in ((gl.GL_VERTEX_SHADER, VERTEX_SHADER), (gl.GL_FRAGMENT_SHADER, FRAGMENT_SHADER)):
        shader = gl.glCreateShader(kind)
        gl.glShaderSource(shader, source)
        gl.glCompileShader(shader)
        if not gl.glGetShaderiv(shader, gl.GL_COMPILE_STATUS):
            raise AssetError(f"this OpenGL does not take the head's shader: {gl.glGetShaderInfoLog(shader)}")
        gl.glAttachShader(program, shader)
    gl.glLinkProgram(program)
    if not gl.glGetProgramiv(program, gl.GL_LINK_STATUS):
        raise AssetError(f"this OpenGL does not link the head's shader: {gl.glGetProgramInfoLog(program)}")
    return int(program)
