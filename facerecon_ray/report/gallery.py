"""The gallery: a page of a job's faces that opens from the file system and asks nothing of any network.

In a bucket it opens once OUT is downloaded, or served with its folders.

OUT/index.html                        the page
OUT/viewer/viewer.html                trimesh's viewer (three.js), once for all faces
OUT/viewer/<photo key>/<index>.js     a face for it; scripts, because a page from file:// may not read other files
OUT/previews/<photo key>/<index>.jpg  pictures of the faces shown; of those in packs, which no page can read, copies
"""

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

import pyarrow.compute as pc
from PIL import Image

from facerecon_ray.errors import StorageError
from facerecon_ray.report.pages import content_policy, render, resource
from facerecon_ray.report.viewer import viewer_page
from facerecon_ray.storage.layout import GALLERY, PREVIEWS, VIEWER
from facerecon_ray.storage.manifest import FORGOTTEN, Manifest, Totals
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import file_columns, is_packed, read_face_file
from facerecon_ray.storage.run_record import load_record
from facerecon_ray.storage.uris import name_of

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
    style, script = resource("gallery.css"), resource("gallery.js")
    page = render(
        "gallery.html",
        policy=content_policy([script], [style], "img-src 'self' file:; frame-src 'self' file:"),
        style=style,
        script=script,
        title=name_of(output.uri),
        known=_facts(output, totals),
        faces=[row | _links(output, row) for row in faces],
        meshes=meshes,
        others=others,
        without_mesh=sum(totals.rows.values()) - meshes - totals.rows.get(FORGOTTEN, 0),
        status_names=_STATUS_NAMES,
    )
    output.write(VIEWER_PAGE, viewer_page().encode())
    output.write(GALLERY, page.encode())
    return output.link(GALLERY)


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
    """Rows with `photos`: the photo, and of a pair the side photo."""
    for part in manifest.parts():
        for row in manifest.read(part, _COLUMNS).filter(condition).to_pylist():
            yield row | {"photos": [uri for uri in (row["photo_uri"], row["side_photo_uri"]) if uri]}


def _face_name(uri: str) -> str:
    """<photo key>/<face index> of a mesh or a preview, which lies in a folder of its kind, or in a pack."""
    return uri.partition("#" if is_packed(uri) else "/")[2].rpartition(".")[0]


def _links(output: OutputFolder, row: dict[str, Any]) -> dict[str, Any]:
    """Where a face's card leads, and its picture; a preview in a pack becomes a file of its own."""
    mesh, uri, size = _link_of(row["mesh_uri"]), row["preview_uri"], None
    try:
        data = read_face_file(output.store, row, "preview")
        size = Image.open(io.BytesIO(data)).size
    except (StorageError, OSError):
        preview = _link_of(uri)
    else:
        if is_packed(uri):
            uri = f"{PREVIEWS}/{row['name']}.jpg"
            output.write(uri, data)
        preview = quote(uri)
    target = f"#face={quote(row['name'])}" if row["viewable"] else preview or mesh
    wide = size is not None and size[0] > _WIDE_PREVIEW * size[1]
    return {"mesh": mesh, "preview": preview, "size": size, "wide": wide, "target": target}


def _facts(output: OutputFolder, totals: Totals) -> list[tuple[str, str]]:
    record = load_record(output.store)
    photos = "pairs" if record and record.settings.get("pairs") else "photos"
    facts = [(f"{totals.photos:,}", photos), (f"{totals.rows.get('ok', 0):,}", "faces")]
    facts += [(f"{totals.rows.get(status, 0):,}", name) for status, name in _STATUS_NAMES.items()]
    rates = [run.faces_per_second for run in record.runs if run.faces_per_second] if record else []
    if rates:
        facts.append((f"{rates[-1]:.1f}", "faces a second"))
    return facts


def _link_of(uri: str | None) -> str:
    """Relative URL of a face's file, "" where it has none or it lies in a pack."""
    return quote(uri) if uri and not is_packed(uri) else ""
