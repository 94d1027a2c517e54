"""Which pairs of photos a job reads: those of a list, on a disk or in an S3 bucket."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError
from facerecon_ray.storage.input_files import is_among_results
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.input_names import canonical_input, common_folder
from facerecon_ray.storage.photos.known_photos import KnownPairs, PlannedPhoto
from facerecon_ray.storage.photos.list_files import list_in_bucket, list_on_disk
from facerecon_ray.storage.photos.photo_listing import PhotoListing
from facerecon_ray.storage.photos.photo_lists import read_pair_list
from facerecon_ray.storage.uris import is_s3, split_s3_uri

_CHUNK = 1000


def list_pairs(source: str, settings: S3Settings | None = None, output: str = "") -> PhotoListing:
    """Find the pairs of photos of a list of pairs; arguments and results as those of `inputs.list_photos`.

    Raises
    ------
    InputError, StorageError
        when the list does not exist or cannot be read, a pair names one photo twice, or a front photo is in two pairs
    """
    where = canonical_input(source)
    if is_s3(where):
        bucket, key = split_s3_uri(where)
        store = open_store(f"s3://{bucket}", settings or S3Settings())
        if not key or not store.exists(key):
            raise InputError(f"list {where}: no such object")
        file = list_in_bucket(store, where, key)
    else:
        try:
            is_file = Path(where).is_file()
        except OSError as error:
            raise InputError(f"list {where}: {error.strerror}") from None
        if not is_file:
            raise InputError(f"list {where}: no such file; a list of pairs is a .csv file")
        file = list_on_disk(Path(where))

    def pairs() -> Iterator[PlannedPhoto]:
        for front, side in read_pair_list(where, file.open):
            pair = PlannedPhoto(file.locate(front), file.locate(side))
            if pair.uri == pair.side:
                raise InputError(f"list {where}: {front} is front and side of one pair; a pair is two photos")
            yield pair

    def checked() -> Iterator[PlannedPhoto]:
        known, all_pairs = KnownPairs(), pairs()
        while some := list(islice(all_pairs, _CHUNK)):
            yield from known.add_new(some)

    fronts = (pair.uri for pair in checked())
    first = next(fronts, None)
    if first is None:
        raise InputError(f"list {where}: there is no pair in it, only a header")
    listing = PhotoListing(f"list {where}", common_folder(chain([first], fronts)), pairs())
    if output and is_among_results(where, output):
        raise InputError(f"input {where}: it is among the results of the output {output}; choose another output")
    return listing
