"""300W-LP as training data: pictures with the mesh of the Basel Face Model that was fitted to them.

Layout: FOLDER/SUBSET/NAME_K.jpg with NAME_K.mat beside it, SUBSET one of AFW, HELEN, IBUG, LFPW and their mirrored
twins *_Flip, or FOLDER/NAME_K.jpg. K numbers the yaws to which one photo was turned, 0 is the photo as it was. A photo
and its mirrored twin show one subject.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

import torch

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.storage.input_files import is_hidden
from facerecon_ray.synthesis.importers.basel_model import RawCoefficients, open_basel
from facerecon_ray.synthesis.importers.imported_view import ImportedView, ImportFailure, ImportSource, read_picture
from facerecon_ray.synthesis.importers.w300lp_file import Annotation, read_annotation

NUMBERED = re.compile(r"(?P<photo>.+)_(?P<number>\d+)\.jpg", re.IGNORECASE)

OTHER_FOLDERS = ("Code", "landmarks")
"""Folders of the distribution that hold no training pictures."""

FLIPPED = "_Flip"
FRONTAL = 0


class Importer300wlp:
    """Reads a folder in the layout of 300W-LP."""

    name: ClassVar[str] = "300wlp"

    def __init__(self, settings: ImportSettings) -> None:
        """Load the face model.

        Raises
        ------
        AssetError
            when the face model cannot be used
        """
        self._settings = settings
        self.model = open_basel(settings)
        self._coefficients = RawCoefficients.of(self.model)

    def sources(self) -> list[ImportSource]:
        """One source for each photo: the pictures of its yaws in their order.

        Raises
        ------
        InputError
            when the folder is missing, has no numbered pictures, or no picture has a .mat
        """
        folder = self._settings.folder
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; one in the layout of 300W-LP was expected")
        found = sorted(
            (*key, path)
            for path in itertools.chain(folder.glob("*.[jJ][pP][gG]"), folder.glob("*/*.[jJ][pP][gG]"))
            if not is_hidden(str(path.relative_to(folder))) and (key := _key(path.relative_to(folder)))
        )
        if not found:
            raise InputError(f"{folder}: no pictures; SUBSET/NAME_0.jpg with SUBSET/NAME_0.mat was expected")
        if not any(path.with_suffix(".mat").is_file() for *_, path in found):
            raise InputError(f"{folder}: no picture has a .mat beside it; {found[0][-1].stem}.mat was expected")
        return [
            ImportSource(name.replace(FLIPPED, "", 1), name, tuple(str(row[-1].relative_to(folder)) for row in rows))
            for name, rows in itertools.groupby(found, key=lambda row: row[0])
        ]

    def views(self, source: ImportSource) -> Iterator[ImportedView | ImportFailure]:
        """The pictures of one photo."""
        views: dict[int, ImportedView] = {}
        for name in source.files:
            try:
                views[_number(name)] = self._view(name)
            except PhotoError as error:
                yield ImportFailure(name, str(error))
        for number, view in views.items():
            frontal = number == FRONTAL and abs(view.pose[0]) <= self._settings.frontal_yaw
            sides = [other for other_number, other in views.items() if other_number != number]
            yield replace(view, sides=tuple(sides)) if frontal else view

    def _view(self, name: str) -> ImportedView:
        path = self._settings.folder / name
        annotation = read_annotation(path.with_suffix(".mat"), self.model.shape_size, self.model.expression_size)
        image = read_picture(path)
        camera = annotation.camera(len(image))
        try:
            head = self._coefficients.vertices(annotation.shape, annotation.expression)
        except PhotoError as error:
            raise PhotoError(f"{path.with_suffix('.mat')}: {error}") from None
        self._check(path, projected_landmarks(self.model, head, camera)[0, :, :2], annotation)
        return ImportedView(name, image, head, camera, {"subset": _subset(name), "mirrored": float(FLIPPED in name)})

    def _check(self, path: Path, landmarks: torch.Tensor, annotation: Annotation) -> None:
        """Compare brows, nose, eyes and mouth; pt2d follows the visible outline where the mesh's jaw does not."""
        given = torch.from_numpy(annotation.landmarks).float()[None]
        distance = (landmarks - given[0])[CONTOUR_LANDMARKS:].norm(dim=-1).mean()
        misfit = float(distance / box_size(given)[0].clamp(min=1e-6))
        if not misfit <= self._settings.largest_misfit:
            raise PhotoError(
                f"{path.with_suffix('.mat')}: the mesh lies {misfit:.0%} of the face's size away from the landmarks, "
                f"at most {self._settings.largest_misfit:.0%} was expected; is this the face model of the data set?"
            )


def _key(path: Path) -> tuple[str, int] | None:
    """Source and number of a picture, None where its name is not of the layout."""
    match = NUMBERED.fullmatch(path.name)
    if match is None or path.parts[0] in OTHER_FOLDERS:
        return None
    return str(PurePosixPath(*path.parts[:-1], match["photo"])), int(match["number"])


def _number(name: str) -> int:
    match = NUMBERED.fullmatch(name)
    assert match is not None
    return int(match["number"])


def _subset(name: str) -> str:
    """The subset that a file belongs to, by its folder or, without one, by its name."""
    path = PurePosixPath(name)
    return path.parts[0] if len(path.parts) > 1 else path.name.split("_")[0]
