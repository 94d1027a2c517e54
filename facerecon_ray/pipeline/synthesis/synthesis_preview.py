"""The contact sheet of a data set: from its first shards, or of sample subjects when nothing has been made yet."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import OutputError
from facerecon_ray.report.contact_sheet import contact_sheet, png
from facerecon_ray.storage.layout import CONTACT_SHEET
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.pairs.pair_schema import pair_arrays
from facerecon_ray.storage.pairs.pair_shards import SIZE, read_pairs

SUBJECTS = 32


def write_preview(store: ObjectStore) -> str:
    """Write the sheet of a set's first subjects; where it is.

    Raises
    ------
    OutputError
        when the set has no pair yet
    """
    subjects = list(islice(read_pairs(store), SUBJECTS))
    if not subjects:
        raise OutputError(f"{store.uri} has no pair to show")
    store.write(CONTACT_SHEET, png(contact_sheet(subjects)))
    return store.describe(CONTACT_SHEET)


def write_samples(job: SynthesisJob, store: ObjectStore, subjects: int) -> str:
    """Make sample subjects in this process, without Ray, and write their sheet; where it is."""
    store.write(CONTACT_SHEET, png(contact_sheet(list(_samples(job, subjects)))))
    return store.describe(CONTACT_SHEET)


def _samples(job: SynthesisJob, subjects: int) -> Iterator[dict[str, np.ndarray]]:
    from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
    from facerecon_ray.pipeline.synthesis.pair_source import open_source

    maker = PairMaker(job, open_source(job))
    for number in range(subjects):
        yield pair_arrays(maker.rows(number), SIZE)
