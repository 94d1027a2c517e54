"""The gallery: a page of a job's faces that opens from the file system and asks nothing of any network.

In a bucket it opens once OUT is downloaded, or served with its folders.

OUT/index.html                        the page
OUT/viewer/viewer.html                trimesh's viewer (three.js), once for all faces
OUT/viewer/<photo key>/<index>.js     a face for it; scripts, because a page from file:// may not read other files
OUT/previews/<photo key>/<index>.jpg  pictures of the faces shown; of those in packs, which no page can read, copies
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.resources import files
from itertools import islice
from string import Template
from typing import Any
from urllib.parse import quote
from zipfile import ZipFile

import pyarrow.compute as pc
from PIL import Image

from facerecon_ray.errors import StorageError
from facerecon_ray.storage.layout import GALLERY, PREVIEWS, VIEWER
from facerecon_ray.storage.manifest import FORGOTTEN, Manifest, Totals
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import file_columns, is_packed, read_face_file
from facerecon_ray.storage.run_record import load_record
from facerecon_ray.storage.uris import as_bytes, name_of

VIEWER_PAGE = f"{VIEWER}/viewer.html"

_COLUMNS = [
    *("photo_uri", "face_index", "status", "error", "pose", "fit_error", "quality"),
    *(*file_columns("mesh"), *file_columns("preview")),
    *("side_photo_uri", "rotated_yaw", "side_distance"),
]
_WITHOUT_MESH = ~pc.field("status").isin(["ok", FORGOTTEN])
_STATUS_NAMES = {"no_face": "no face", "unreadable": "unreadable", "failed": "failed"}
_WIDE_PREVIEW = 2.5


def write_gallery(output: OutputFolder, gallery_faces: int) -> str:
    """Write the gallery of a job's results.

    Parameters
    ----------
    output : of a job, with its manifest and run.json
    gallery_faces : at most this many faces, and as many photos without a mesh, are shown

    Returns
    -------
    Address of the page
    """
    manifest = Manifest(output)
    totals = manifest.totals()
    meshes = totals.rows.get("ok", 0)
    faces = _choose_faces(output, manifest, gallery_faces)
    others = list(islice(_rows(manifest, _WITHOUT_MESH), gallery_faces))
    cards = [_card(output, row) for row in faces]
    style, script = resource("gallery.css"), resource("gallery.js")
    page = Template(resource("gallery.html")).substitute(
        policy=html.escape(content_policy([script], [style], "img-src 'self' file:; frame-src 'self' file:")),
        style=style,
        script=script,
        title=html.escape(display(name_of(output.uri))),
        facts=_facts(output, totals),
        size="wide" if any("data-wide" in card for card in cards) else "compact",
        cards="\n".join(cards),
        faces_note=_note(len(faces), meshes, "faces"),
        others="\n".join(_problem(row) for row in others),
        others_note=_note(
            len(others),
            sum(totals.rows.values()) - meshes - totals.rows.get(FORGOTTEN, 0),
            "photos and faces without a mesh",
        ),
    )
    output.write(VIEWER_PAGE, viewer_page().encode())
    output.write(GALLERY, as_bytes(page))
    return output.link(GALLERY)


def viewer_script(glb: bytes, name: str) -> str:
    """Script that hands a face to the viewer page.

    Parameters
    ----------
    glb : mesh as binary glTF: metres, y up, the face looks along +z
    name : <photo key>/<face index>; the script's place is OUT/viewer/<name>.js
    """
    return f"showFace({json.dumps(name)}, {json.dumps(base64.b64encode(glb).decode())});\n"


def _choose_faces(output: OutputFolder, manifest: Manifest, limit: int) -> list[dict[str, Any]]:
    """Rows of at most `limit` faces, those with an interactive view first."""
    scripts = output.store.list(f"{VIEWER}/")
    viewable = {script.name.removeprefix(f"{VIEWER}/") for script in scripts if script.name.endswith(".js")}
    with_view: list[dict[str, Any]] = []
    without_view: list[dict[str, Any]] = []
    for row in _rows(manifest, pc.field("status") == "ok"):
        row["name"] = _face_name(row["mesh_uri"] or row["preview_uri"] or "")
        row["viewable"] = f"{row['name']}.js" in viewable
        (with_view if row["viewable"] else without_view).append(row)
        del without_view[limit:]
        if len(with_view) >= min(limit, len(viewable)) and len(with_view) + len(without_view) >= limit:
            break
    return [*with_view, *without_view][:limit]


def _rows(manifest: Manifest, condition: pc.Expression) -> Iterator[dict[str, Any]]:
    for part in manifest.parts():
        yield from manifest.read(part, _COLUMNS).filter(condition).to_pylist()


def _face_name(uri: str) -> str:
    """<photo key>/<face index> of a mesh or a preview, which lies in a folder of its kind, or in a pack."""
    return uri.partition("#" if is_packed(uri) else "/")[2].rpartition(".")[0]


def _card(output: OutputFolder, row: dict[str, Any]) -> str:
    pose, fit_error = row["pose"] or {}, row["fit_error"]
    name = _row_name(row)
    mesh = _link_of(row["mesh_uri"])
    preview, picture = _picture(output, row)
    target = f"#face={quote(row['name'])}" if row["viewable"] else preview or mesh
    values = {
        "face": row["name"] if row["viewable"] else "",
        "name": name.lower(),
        "yaw": _number(pose.get("yaw"), 2),
        "quality": _number(row["quality"], 4),
        "fit": _number(fit_error, 4),
        "mesh": mesh,
    }
    data = " ".join(f'data-{key}="{html.escape(value)}"' for key, value in values.items())
    angles = " ".join(
        f"<span>{angle} <b>{_number(pose.get(angle), 0, '°')}</b></span>" for angle in ("yaw", "pitch", "roll")
    )
    fit = _number(fit_error * 100, 1, " %") if fit_error is not None else ""
    link = f'href="{html.escape(target)}" ' if target else ""
    return f"""<a class="card" {link}{data}>
{picture}
<span class="name" title="{html.escape(_row_title(row))}">{html.escape(name)}<i>face {row["face_index"]}</i></span>
<span class="values">{angles}
<span>quality <b>{_number(row["quality"], 2)}</b></span> <span>fit error <b>{fit}</b></span>{_side(row)}
</span></a>"""


def _picture(output: OutputFolder, row: dict[str, Any]) -> tuple[str, str]:
    """Link to a face's preview, and the picture as it is shown; a preview in a pack becomes a file of its own."""
    try:
        data = read_face_file(output.store, row, "preview")
        width, height = Image.open(io.BytesIO(data)).size
    except (StorageError, OSError):
        return _link_of(row["preview_uri"]), '<span class="blank">no preview</span>'
    uri = row["preview_uri"]
    if is_packed(uri):
        uri = f"{PREVIEWS}/{row['name']}.jpg"
        output.write(uri, data)
    wide = " data-wide" if width > _WIDE_PREVIEW * height else ""
    link = _link(uri)
    return link, f'<img src="{html.escape(link)}" width="{width}" height="{height}" loading="lazy" alt=""{wide}>'


def _problem(row: dict[str, Any]) -> str:
    name = _row_name(row)
    face = f"<i>face {row['face_index']}</i>" if row["face_index"] is not None else ""
    status = _STATUS_NAMES.get(row["status"], row["status"])
    return (
        f'<tr><td title="{html.escape(_row_title(row))}">{html.escape(name)}{face}</td>'
        f"<td>{html.escape(status)}</td><td>{html.escape(row['error'] or '')}</td></tr>"
    )


def _facts(output: OutputFolder, totals: Totals) -> str:
    record = load_record(output.store)
    photos = "pairs" if record and record.settings.get("pairs") else "photos"
    facts = [(f"{totals.photos:,}", photos), (f"{totals.rows.get('ok', 0):,}", "faces")]
    facts += [(f"{totals.rows.get(status, 0):,}", name) for status, name in _STATUS_NAMES.items()]
    rates = [run.faces_per_second for run in record.runs if run.faces_per_second] if record else []
    if rates:
        facts.append((f"{rates[-1]:.1f}", "faces a second"))
    return "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for value, label in facts)


def _note(shown: int, total: int, what: str) -> str:
    return f"Showing {shown:,} of {total:,} {what}; the manifest lists all." if shown < total else ""


def _row_name(row: dict[str, Any]) -> str:
    """Name of a row's photo, of a pair those of both."""
    return " + ".join(_photo_name(uri) for uri in (row["photo_uri"], row["side_photo_uri"]) if uri)


def _row_title(row: dict[str, Any]) -> str:
    return "\n".join(filter(None, (row["photo_uri"], row["side_photo_uri"])))


def _side(row: dict[str, Any]) -> str:
    """Values of a pair's side photo."""
    if not row["side_photo_uri"]:
        return ""
    yaw, apart = _number(row["rotated_yaw"], 0, "°"), _number(row["side_distance"], 2)
    return f" <span>side yaw <b>{yaw}</b></span> <span>faces apart <b>{apart}</b></span>"


def _photo_name(uri: str) -> str:
    return display(name_of(uri))


def display(name: str) -> str:
    """File name as text; bytes that are none become replacement characters."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _link(uri: str) -> str:
    """Relative URL of a file in the output folder."""
    return quote(uri)


def _link_of(uri: str | None) -> str:
    """Relative URL of a face's file, "" where it has none or it lies in a pack."""
    return _link(uri) if uri and not is_packed(uri) else ""


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return f"{value:.{digits}f}{unit}" if value is not None else ""


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


def content_policy(scripts: list[str], styles: list[str], others: str, more_scripts: str = "") -> str:
    """Content security policy: only these inline scripts and styles run, and nothing is loaded from anywhere else."""

    def hashes(texts: list[str]) -> str:
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes(scripts)} {more_scripts}; style-src {hashes(styles)}; "
        f"{others}; base-uri 'none'; form-action 'none'"
    )


def resource(name: str) -> str:
    return files("facerecon_ray.report").joinpath(name).read_text(encoding="utf-8")
