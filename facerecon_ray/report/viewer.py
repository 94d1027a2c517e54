"""The viewer of faces: trimesh's page (three.js), changed to take its mesh from a script, and those scripts."""

import base64
import html
import json
import re
from importlib.metadata import distribution
from zipfile import ZipFile

from facerecon_ray.report.pages import content_policy, resource


def viewer_script(glb: bytes, name: str) -> str:
    """Script that hands a face to the viewer page.

    Parameters
    ----------
    glb : mesh as binary glTF: metres, y up, the face looks along +z
    name : <photo key>/<face index>; the script's place is OUT/viewer/<name>.js
    """
    return f"showFace({json.dumps(name)}, {json.dumps(base64.b64encode(glb).decode())});\n"


def viewer_page() -> str:
    """trimesh's viewer page, changed to take its mesh from `showFace` and to frame and light a face."""
    # Found, not imported: trimesh takes seconds to load, which every job would pay at its end.
    trimesh = distribution("trimesh")
    with ZipFile(str(trimesh.locate_file("trimesh/resources/templates/viewer.zip"))) as archive:
        page = archive.read("viewer.html.template").decode()
    style, script = resource("viewer.css"), resource("viewer.js")
    for old, new in (
        ('"$B64GLTF"', "window.glb"),
        ("camera=gltf.cameras[0]", "camera=frameFace(gltf.scene)"),
        ("animate();onWindowResize();", "animate();onWindowResize();faceShown();"),
        ("init();</script>", f"</script>{resource('viewer.html')}<script>{script}</script>"),
    ):
        if page.count(old) != 1:
            raise RuntimeError(f"trimesh {trimesh.version} has another viewer: expected {old!r} in it once")
        page = page.replace(old, new)
    page = re.sub("<style>.*?</style>", lambda _: f"<style>{style}</style>", page, count=1, flags=re.DOTALL)
    scripts = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    policy = content_policy(scripts, [style], "connect-src data: blob:; img-src data: blob:", "'self' file:")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    return page.replace("<head>", f"<head>{meta}", 1)
