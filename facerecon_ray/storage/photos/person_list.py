"""Who is in which photo, by a list: a CSV with the columns photo and person."""

import re
from pathlib import Path

from facerecon_ray.errors import InputError
from facerecon_ray.storage.photos.input_names import listed_photo
from facerecon_ray.storage.photos.photo_lists import read_person_list

_NAME = re.compile(r"\w[\w .@+-]{0,99}")


def person_of_photos(path: Path) -> dict[str, str]:
    """Person of each photo of a list, by the photos' URIs; relative photos start at the list's folder.

    Raises
    ------
    InputError
        when the list cannot be read, names a photo for two persons, or a person by a name that is no file's
    """
    people: dict[str, str] = {}
    for entry, person in read_person_list(str(path), lambda: path.open("rb")):
        photo = listed_photo(entry, path)
        if not _NAME.fullmatch(person):
            raise InputError(
                f"list {path}: the person {person!r} names files: use letters, digits, spaces and .@+-_, at most 100"
            )
        if people.setdefault(photo, person) != person:
            raise InputError(f"list {path}: {entry} shows {people[photo]} in one row and {person} in another")
    return people
