"""The gallery page: what it says of a job, that hostile names stay text, and that a real browser draws the meshes."""

import html
import io
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
import trimesh
from browser import screenshot
from PIL import Image

from facerecon_ray.report.gallery import write_gallery
from facerecon_ray.report.viewer import viewer_script
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_record import Run, new_record, save_record
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" 'single' & a\nnew line #50%?.jpg"


def _row(photo: str, status: str = "ok", **values: object) -> dict:
    return {"photo_uri": photo, "face_count": int(status == "ok"), "status": status} | values


def _face(key: str, yaw: float, quality: float, photo: str | None = None) -> dict:
    return _row(
        photo or f"/photos/{key}",
        face_index=0,
        pose={"yaw": yaw, "pitch": -2.0, "roll": 1.0},
        fit_error=0.021,
        quality=quality,
        mesh_uri=f"meshes/{key}/0.glb",
        preview_uri=f"previews/{key}/0.jpg",
    )


def _bumpy_head(colour: tuple[int, int, int]) -> bytes:
    """GLB of a head-sized ball with a nose on its +z side and a striped texture, red on the subject's left."""
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.09)
    nose = np.exp(-((ball.vertices / 0.03) ** 2)[:, :2].sum(1)) * (ball.vertices[:, 2] > 0)
    vertices = ball.vertices * [0.8, 1.1, 0.9] + nose[:, None] * [0, 0, 0.03]
    stripes = np.full((64, 64, 3), colour, np.uint8)
    stripes[::8] = stripes[::8] // 2
    stripes[:, 32:] = stripes[:, 32:] // 3 * 2 + np.array([80, 0, 0], np.uint8)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(stripes))
    visual = trimesh.visual.TextureVisuals(uv=ball.vertices[:, :2] / 0.18 + 0.5, material=material)
    return trimesh.Trimesh(vertices, ball.faces, visual=visual, process=False).export(file_type="glb")


def _picture(width: int, height: int) -> bytes:
    ramp = np.linspace(60, 200, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "JPEG")
    return file.getvalue()


def _job(folder: Path, rows: list[dict], with_view: int = 99) -> OutputFolder:
    """Output folder of a job; the first faces have an interactive view."""
    output = OutputFolder(folder)
    Manifest(output).write(0, pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA))
    record = new_record({}, "/photos")
    record.runs = [Run(started="2026-01-01T00:00:00", faces_per_second=1.5), Run(started="2026-01-02T00:00:00")]
    save_record(output, record)
    glb = _bumpy_head((200, 160, 130))
    for row in [row for row in rows if row["status"] == "ok"][:with_view]:
        name = row["mesh_uri"].removeprefix("meshes/").removesuffix(".glb")
        output.write(f"viewer/{name}.js", viewer_script(glb, name).encode())
        output.write(row["preview_uri"], _picture(768, 512))
    return output


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of three faces, one of them of a photo with a hostile name, and three photos without a mesh."""
    folder = tmp_path_factory.mktemp("jobs") / "job of <b>faces #1%"
    rows = [
        _face("ada.jpg", 3.0, 0.9),
        _face("a b/grace.jpg", -28.0, 0.7),
        _face("hostile_ _50__.jpg~0123", 61.0, 0.4, photo="/photos/" + HOSTILE),
        _row("/photos/landscape.jpg", "no_face"),
        _row("/photos/" + HOSTILE, "unreadable", error="the file is <script>alert(1)</script> no image"),
        _row("file:///photos/caf%E9.jpg", "failed", error="the face could not be fitted"),
    ]
    write_gallery(_job(folder, rows), gallery_faces=200)
    return folder


def test_header_counts_faces_photos_and_what_failed(job: Path) -> None:
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", (job / "index.html").read_text()))
    assert facts == {
        "photos": "5",
        "faces": "3",
        "no face": "1",
        "unreadable": "1",
        "failed": "1",
        "faces a second": "1.5",
    }


def test_pairs_show_both_names_and_how_alike_their_faces_are(tmp_path: Path) -> None:
    pair = {"side_photo_uri": "/photos/ada side.jpg", "rotated_yaw": 61.6, "side_distance": 0.41}
    failed = _row("/photos/bob.jpg", "failed", error="side photo: no face was found") | pair
    output = _job(tmp_path, [_face("ada.jpg", 3.0, 0.9) | pair, failed])
    save_record(output, new_record({"pairs": True}, "/photos"))
    write_gallery(output, gallery_faces=200)
    page = (tmp_path / "index.html").read_text()
    assert ">ada.jpg + ada side.jpg<i>" in page and ">bob.jpg + ada side.jpg<" in page
    assert "side yaw <b>62°</b>" in page and "faces apart <b>0.41</b>" in page
    assert "<dt>pairs</dt><dd>2</dd>" in page


def test_previews_of_packed_faces_become_files_and_their_meshes_have_no_link(tmp_path: Path) -> None:
    row, name = _face("ada.jpg", 3.0, 0.9), "packs/part-00000000-00.tar"
    output = _job(tmp_path, [row])
    picture = _picture(768, 512)
    row |= {"mesh_uri": f"{name}#ada.jpg/0.glb", "mesh_offset": 5, "mesh_length": 1}
    row |= {"preview_uri": f"{name}#ada.jpg/0.jpg", "preview_offset": 512, "preview_length": len(picture)}
    Manifest(output).write(0, pa.Table.from_pylist([row], schema=MANIFEST_SCHEMA))
    output.store.delete("previews/ada.jpg/0.jpg")
    output.write(name, bytes(512) + picture + bytes(1024))
    write_gallery(output, gallery_faces=200)
    page = (tmp_path / "index.html").read_text()
    assert 'href="#face=ada.jpg/0"' in page and 'src="previews/ada.jpg/0.jpg"' in page and 'data-mesh=""' in page
    assert (tmp_path / "previews/ada.jpg/0.jpg").read_bytes() == picture


def test_text_of_the_manifest_never_becomes_markup(job: Path) -> None:
    page = (job / "index.html").read_text()
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert "<b>faces" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; &#34;quoted&#34; &#39;single&#39; &amp; a\nnew line" in page


def test_links_are_percent_encoded_and_lead_to_files(job: Path) -> None:
    page = (job / "index.html").read_text()
    assert 'src="previews/a%20b/grace.jpg/0.jpg" width="768" height="512"' in page
    assert 'data-mesh="meshes/a%20b/grace.jpg/0.glb"' in page
    assert 'href="#face=a%20b/grace.jpg/0"' in page


def test_faces_of_a_job_without_meshes_have_their_pictures_and_no_link_to_nothing(tmp_path: Path) -> None:
    rows = [_face("ada.jpg", 3.0, 0.9) | {"mesh_uri": None}, _face("grace.jpg", -28.0, 0.7)]
    rows[1] |= {"mesh_uri": None, "preview_uri": None}
    output = _job(tmp_path, rows, with_view=0)
    output.write("previews/ada.jpg/0.jpg", _picture(768, 512))
    write_gallery(output, gallery_faces=200)
    page = (tmp_path / "index.html").read_text()
    assert 'href="previews/ada.jpg/0.jpg"' in page and page.count('<a class="card" ') == 2
    assert 'href=""' not in page and 'href="#face' not in page


def test_name_that_is_no_text_is_shown_with_a_replacement_character(job: Path) -> None:
    assert ">caf�.jpg<" in (job / "index.html").read_text()


def test_pages_name_no_network_address(job: Path) -> None:
    for page in ("index.html", "viewer/viewer.html"):
        policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', (job / page).read_text())
        assert policy and html.unescape(policy[1]).startswith("default-src 'none';")
        assert not re.search(r"https?:|\*|unsafe", policy[1])
    assert not re.search(r"https?://", (job / "index.html").read_text())


def test_long_lists_are_cut_with_a_note_and_faces_with_a_view_come_first(tmp_path: Path) -> None:
    rows = [_face(f"{number}.jpg", 0.0, 0.5) for number in range(5)]
    rows += [_row(f"/photos/empty{number}.jpg", "no_face") for number in range(5)]
    output = _job(tmp_path, rows, with_view=0)
    output.write("viewer/4.jpg/0.js", b"")
    write_gallery(output, gallery_faces=2)
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'class="card" href="(.*?)"', page) == ["#face=4.jpg/0", "previews/0.jpg/0.jpg"]
    assert "Showing 2 of 5 faces; the manifest lists all." in page
    assert "Showing 2 of 5 photos and faces without a mesh; the manifest lists all." in page
    assert page.count("<tr><td") == 2


def test_job_without_any_face_has_a_page(tmp_path: Path) -> None:
    output = _job(tmp_path, [_row("/photos/landscape.jpg", "no_face")])
    assert write_gallery(output, gallery_faces=200) == (tmp_path / "index.html").as_uri()
    assert "landscape.jpg" in (tmp_path / "index.html").read_text()


def _address(page: Path, fragment: str) -> str:
    return f"file://{quote(str(page))}#{fragment}"


def test_browser_draws_the_mesh_from_a_link_to_a_face(job: Path, tmp_path: Path) -> None:
    picture = screenshot(_address(job / "index.html", "face=" + quote("a b/grace.jpg/0")), tmp_path)
    stage = picture[150:700, 200:1000].astype(int)
    skin = (stage[..., 0] > 90) & (stage[..., 0] - stage[..., 2] > 20)
    assert 0.1 < skin.mean() < 0.8
    assert abs(np.nonzero(skin)[1].mean() - skin.shape[1] / 2) < 40, "the face is not in the middle"
    assert len(np.unique(stage[skin], axis=0)) > 50, "the face has no shading and no texture"


def test_browser_says_when_a_face_has_no_file(job: Path, tmp_path: Path) -> None:
    blank = screenshot(_address(job / "viewer" / "viewer.html", quote("../../secret", safe="")), tmp_path)
    assert blank.std() > 1, "no message"
    assert (blank.max(-1).astype(int) - blank.min(-1) > 40).mean() == 0, "something coloured is drawn"
