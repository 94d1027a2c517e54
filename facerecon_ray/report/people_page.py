"""The people page: one card a person, their photos below, that opens from the file system without a network.

PEOPLE/index.html              the page
PEOPLE/people/viewer.html      the viewer of the gallery, once for all people
PEOPLE/people/<person>.js      a person's face for it
"""

import html
from string import Template
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from facerecon_ray.report.gallery import content_policy, display, resource, viewer_page
from facerecon_ray.storage.layout import GALLERY, PEOPLE_FILES
from facerecon_ray.storage.people import PeopleOutput
from facerecon_ray.storage.uris import as_bytes, name_of

PHOTO_NAMES = 3
"""Photos that a card names."""


def write_people_page(people: PeopleOutput, rows: pa.Table, shown: int) -> str:
    """Write the page.

    Parameters
    ----------
    people : where it goes
    rows : of the people
    shown : people on it at most, those with most photos first

    Returns
    -------
    Address of the page
    """
    order = sorted(rows.to_pylist(), key=lambda row: (-row["photos"], row["person"]))
    style = resource("gallery.css")
    faces = sum(len(row["faces"]) for row in order)
    facts = [(f"{len(order):,}", "people"), (f"{faces:,}", "faces")]
    page = Template(resource("people.html")).substitute(
        policy=html.escape(content_policy([], [style], "img-src 'self' file:")),
        style=style,
        title=html.escape(display(name_of(people.output.uri))),
        facts="".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for value, label in facts),
        cards="\n".join(_card(row) for row in order[:shown]),
        people_note=f"Showing {shown:,} of {len(order):,} people; people.parquet lists all."
        if shown < len(order)
        else "",
    )
    people.output.write(f"{PEOPLE_FILES}/viewer.html", viewer_page().encode())
    people.output.write(GALLERY, as_bytes(page))
    return people.output.link(GALLERY)


def _card(row: dict[str, Any]) -> str:
    used = [face for face in row["faces"] if face["used"]]
    left_out = [face for face in row["faces"] if not face["used"]]
    yaws = [face["yaw"] for face in used]
    names = [html.escape(display(name_of(face["photo_uri"]))) for face in row["faces"]]
    more = f" and {len(names) - PHOTO_NAMES} more" if len(names) > PHOTO_NAMES else ""
    doubt = f" <span>left out <b>{len(left_out)}</b></span>" if left_out else ""
    title = html.escape("\n".join(face["photo_uri"] for face in row["faces"]))
    plural = "photo" if len(names) == 1 else "photos"
    target = f"{PEOPLE_FILES}/viewer.html#{quote(row['person'], safe='')}"
    return f"""<a class="card" href="{html.escape(target)}">
<img src="{quote(row["preview_uri"])}" loading="lazy" alt="">
<span class="name" title="{title}">{html.escape(row["person"])}<i>{len(names)} {plural}</i></span>
<span class="values"><span>{", ".join(names[:PHOTO_NAMES])}{more}</span>
<span>yaw <b>{min(yaws):.0f}° to {max(yaws):.0f}°</b></span> <span>still open <b>{row["spread"]:.2f} mm</b></span>
<span>quality <b>{row["quality"]:.2f}</b></span>{doubt}</span></a>"""
