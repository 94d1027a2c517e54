"""The people page: one card a person, their photos below, that opens from the file system without a network.

PEOPLE/index.html              the page
PEOPLE/people/viewer.html      the viewer of the gallery, once for all people
PEOPLE/people/<person>.js      a person's face for it
"""

import pyarrow as pa

from facerecon_ray.report.pages import content_policy, render, resource
from facerecon_ray.report.viewer import viewer_page
from facerecon_ray.storage.layout import GALLERY, PEOPLE_FILES
from facerecon_ray.storage.people import PeopleOutput
from facerecon_ray.storage.uris import name_of

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
    viewer = f"{PEOPLE_FILES}/viewer.html"
    page = render(
        "people.html",
        policy=content_policy([], [style], "img-src 'self' file:"),
        style=style,
        title=name_of(people.output.uri),
        known=[(f"{len(order):,}", "people"), (f"{faces:,}", "faces")],
        people=order,
        shown=shown,
        viewer=viewer,
        photo_names=PHOTO_NAMES,
    )
    people.output.write(viewer, viewer_page().encode())
    people.output.write(GALLERY, page.encode())
    return people.output.link(GALLERY)
