"""Mesh files in the programs that people open them with, of the versions that docs/meshes.md names."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import posted_by

sys.path.insert(0, str(Path(__file__).parent))
from ramp_face import ramp_face

from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.storage.mesh_files import FORMATS, MeshFormat, encode_mesh

pytestmark = pytest.mark.slow

BLENDER, THREE, VALIDATOR = "bpy==5.0.1", "three@0.187.0", "gltf-validator@2.0.0-dev.3.10"
UNITS = {"glb": 1.0, "obj": 0.001, "ply": 0.001}

VALIDATE = """
const validator = require("gltf-validator"), fs = require("fs");
validator.validateBytes(new Uint8Array(fs.readFileSync("face.glb"))).then(
    (report) => console.log(JSON.stringify(report)));
"""
PAGE = """<!DOCTYPE html>
<script type="importmap">
{"imports": {"three": "./node_modules/three/build/three.module.js", "three/": "./node_modules/three/examples/jsm/"}}
</script>
<script type="module">
import { GLTFLoader } from "three/loaders/GLTFLoader.js";
import { OBJLoader } from "three/loaders/OBJLoader.js";
import { PLYLoader } from "three/loaders/PLYLoader.js";

function arrays(geometry) {
    const found = {};
    for (const [name, attribute] of Object.entries(geometry.attributes)) {
        found[name] = Array.from(attribute.array);
    }
    found.index = geometry.index ? Array.from(geometry.index.array) : null;
    return found;
}

function pixels(picture) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.width, picture.height];
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    return btoa(context.getImageData(0, 0, canvas.width, canvas.height).data.reduce(
        (text, value) => text + String.fromCharCode(value), ""));
}

const found = {};
try {
    const scene = (await new GLTFLoader().loadAsync("face.glb")).scene;
    const face = scene.getObjectByProperty("isMesh", true);
    found.glb = arrays(face.geometry);
    found.glb.texture = pixels(face.material.map.image);
    found.obj = arrays((await new OBJLoader().loadAsync("face.obj")).children[0].geometry);
    found.ply = arrays(await new PLYLoader().loadAsync("face.ply"));
} catch (error) {
    found.error = String(error);
}
fetch("found", { method: "POST", body: JSON.stringify(found) });
</script>
"""


@pytest.fixture(scope="module")
def mesh() -> TexturedMesh:
    return ramp_face()


@pytest.fixture(scope="module")
def folder(mesh: TexturedMesh, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face in each format."""
    folder = tmp_path_factory.mktemp("readers")
    for kind in FORMATS:
        (folder / f"face.{kind}").write_bytes(encode_mesh(mesh, kind))
    return folder


@pytest.fixture(scope="module")
def packages(folder: Path) -> Path:
    """The folder, with what npm has."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("no npm: install Node.js to run the tests in three.js and Khronos's validator")
    command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", THREE, VALIDATOR]
    subprocess.run(command, cwd=folder, check=True, timeout=200)
    return folder


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has Blender."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip(f"{BLENDER} is for Python 3.11")
    venv = tmp_path_factory.mktemp("blender") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, venv], check=True)
    try:
        subprocess.run([*uv, "pip", "install", "--python", venv, BLENDER], check=True, timeout=200)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{BLENDER} cannot be installed here: {type(error).__name__}")
    return venv / "bin/python"


def test_the_khronos_validator_finds_nothing_wrong(packages: Path) -> None:
    told = subprocess.run(["node", "-e", VALIDATE], cwd=packages, check=True, capture_output=True, text=True).stdout
    issues = json.loads(told)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_three_js_reads_positions_uv_texture_and_colours(packages: Path, mesh: TexturedMesh) -> None:
    (packages / "page.html").write_text(PAGE)
    found = json.loads(posted_by(packages / "page.html"))
    assert "error" not in found, found["error"]
    for kind, arrays in found.items():
        points = np.reshape(arrays["position"], (-1, 3)) * UNITS[kind]
        corners = points if arrays["index"] is None else points[arrays["index"]]
        assert np.abs(corners - mesh.vertices[mesh.triangles.ravel()]).max() < 1e-7
    assert np.abs(np.reshape(found["glb"]["uv"], (-1, 2)) - mesh.uv).max() < 1e-6
    texture = np.frombuffer(base64.b64decode(found["glb"]["texture"]), np.uint8).reshape(256, 256, 4)
    assert np.abs(texture[..., :3].astype(int) - mesh.texture).max() < 6
    colours = _linear(mesh.vertex_colours() / 255)
    assert np.abs(np.reshape(found["obj"]["color"], (-1, 3)) - colours[mesh.triangles.ravel()]).max() < 1e-3
    assert np.abs(np.reshape(found["ply"]["color"], (-1, 3)) / 255 - colours).max() < 1 / 255  # it keeps bytes


@pytest.mark.parametrize("kind", FORMATS)
def test_blender_reads_an_upright_face_in_metres(
    blender: Path, folder: Path, mesh: TexturedMesh, kind: MeshFormat
) -> None:
    script, out = Path(__file__).with_name("import_in_blender.py"), folder / f"{kind}.npz"
    subprocess.run([blender, script, folder / f"face.{kind}", out], check=True, capture_output=True, timeout=120)
    found = np.load(out)
    assert not found["repaired"], "Blender had to repair the mesh"
    x, y, z = mesh.vertices.T
    assert np.abs(found["vertices"] - np.stack([x, -z, y], 1)).max() < 1e-7  # there z is up
    assert np.array_equal(found["triangles"], mesh.triangles)
    if kind == "glb":
        assert found["materials"].tolist() == ["skin"]
        assert np.abs(found["uv"] * (1, -1) + (0, 1) - mesh.uv[mesh.triangles.ravel()]).max() < 1e-6
        texture = found["texture"].reshape(found["texture_size"])[::-1, :, :3] * 255
        assert np.abs(texture - mesh.texture).max() < 6
    else:
        assert np.abs(found["colours"][:, :3] * 255 - mesh.vertex_colours()).max() < 1


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as three.js works with them."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
