"""Skin textures from a collection of photos: taken once, kept in a cache, drawn by any number of workers."""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from facerecon_ray.config.home import lend_home, temporary_home
from facerecon_ray.config.photos import PhotoTextureSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.storage.input_files import comparable, input_files, read_photo
from facerecon_ray.storage.layout import CARD
from facerecon_ray.storage.objects import ObjectStore, StoredObject, open_store
from facerecon_ray.storage.uris import PHOTO_SUFFIXES, is_photo_name
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.portraits.photo_colouring import SkinColouring, StoredTexture
from facerecon_ray.synthesis.portraits.photo_fit import PhotoFitter
from facerecon_ray.synthesis.portraits.photo_texture import TextureTaker
from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout

RECIPE = 3
"""Raised with every change that gives a photo another texture, so that a cache's textures are not mixed."""

BLENDING = 14
"""Texels over which a photo's skin, completed around what it shows, turns into painted skin."""

TAKING = ("fit", "most_frame_contrast", "most_shadow")
"""Settings on which the taken textures depend."""

MAX_PHOTO_BYTES = 200_000_000
REPORT_EVERY = 100
DECODED_TEXTURES = 8
"""Textures that a process keeps decoded, of about 1 MB each."""


@dataclass(frozen=True, eq=False)
class PhotoTexture:
    """Skin for one subject.

    image     (512, 512, 3) uint8 display RGB in the atlas of `HeadGeometry`, complete
    validity  (512, 512) uint8, 255 where the photo shows the skin, less where it was completed
    photo     name of the photo
    """

    image: np.ndarray
    validity: np.ndarray
    photo: str

    def over(self, painted: np.ndarray) -> np.ndarray:
        """(512, 512, 3) uint8: the photo's skin where it shows any, turning softly into painted skin around it."""
        side = 2 * BLENDING + 1
        near = cv2.dilate(self.validity, np.ones((side, side), np.uint8))
        share = np.maximum(cv2.blur(near, (side, side)), self.validity).astype(np.float32)[..., None] / 255.0
        return np.asarray(np.round(painted + (self.image - painted.astype(np.float32)) * share), np.uint8)


@dataclass(frozen=True)
class LibraryEntry:
    """What became of one photo: its texture's name in the cache, or the reason why it has none."""

    photo: str
    contents: str
    reason: str = ""
    tone: tuple[float, float, float] = (0.0, 0.0, 0.0)
    coloured: bool = False


class PhotoLibrary:
    """Skin textures of a collection of photos; get one with `PhotoLibrary.open`.

    entries   what became of each photo that was tried, in the order of their contents
    """

    def __init__(self, entries: list[LibraryEntry], cache: ObjectStore, layout: SkinLayout) -> None:
        self.entries = entries
        self._used = [entry for entry in entries if not entry.reason]
        self._cache = cache
        self._colour = SkinColouring(layout)
        self._read = lru_cache(DECODED_TEXTURES)(self._read_texture)

    @staticmethod
    def open(
        photos: str,
        geometry: HeadGeometry,
        settings: PhotoTextureSettings | None = None,
        s3: S3Settings | None = None,
        report: Callable[[str], None] = lambda line: None,
        output: str = "",
    ) -> "PhotoLibrary":
        """Open the library of a folder or of s3://bucket/prefix; take the textures that the cache does not have.

        A library that is complete is opened from its cache alone. A build that was interrupted goes on where it was.

        Parameters
        ----------
        photos : folder or s3://bucket/prefix, searched recursively
        geometry : of the heads that wear the textures
        settings : which photos are used, and where the cache is
        s3 : of the photos and of the cache
        report : receives a line now and then
        output : of the job; nothing in there is a photo, and nothing in the cache

        Raises
        ------
        InputError
            when there are no photos, or none can be used, or the cache is not apart from them
        StorageError
            when the photos cannot be read or the cache cannot be written
        """
        settings = settings or PhotoTextureSettings()
        source = open_store(photos, s3)
        cache = open_store(settings.cache or default_cache(), s3)
        if f"{comparable(source.uri)}/".startswith(f"{comparable(cache.uri)}/"):
            raise InputError(
                f"setting 'textures.cache': {photos} lies in it; choose another folder, perhaps one in there"
            )
        files = input_files(source, (output, cache.uri), CARD)
        found = sorted((item for item in files if is_photo_name(item.name)), key=_name_hash)
        if not found:
            suffixes = ", ".join(sorted(PHOTO_SUFFIXES))
            raise InputError(f"{photos}: there are no photos for skin textures in it; photos end in {suffixes}")
        found = found[: settings.most_photos]
        recipe = _digest(RECIPE, settings.model_dump(include={*TAKING}))[:16]
        index = f"{recipe}/libraries/{_digest([(item.name, item.size, item.etag) for item in found])}.json"
        layout = SkinLayout.of(FaceModel.default(), geometry)
        if cache.exists(index):
            entries = [_entry(row) for row in json.loads(cache.read(index))]
        else:
            builder = _LibraryBuilder(settings, layout, source, cache, recipe, report)
            entries = builder.build(found)
            if not builder.unread:
                cache.write(index, json.dumps([asdict(entry) for entry in entries]).encode())
        library = PhotoLibrary(entries, cache, layout)
        report(library.summary)
        if not len(library):
            raise InputError(
                f"{photos}: no photo can be used for skin textures ({library.summary}). Wanted are sharp photos of "
                f"faces that look into the camera, with at least {settings.fit.least_eye_distance:.0f} pixels between "
                f"the eyes"
            )
        return library

    def __len__(self) -> int:
        return len(self._used)

    @property
    def fingerprint(self) -> str:
        """Changes with the textures that can be drawn and with their order."""
        return _digest(RECIPE, [entry.contents for entry in self._used])

    @property
    def refused(self) -> dict[str, int]:
        """Number of photos that are not used, by the kind of reason."""
        reasons = (entry.reason.partition(" (")[0] for entry in self.entries if entry.reason)
        return dict(Counter(reasons).most_common())

    @property
    def summary(self) -> str:
        """One line: how many photos are used, and why others are not."""
        why = "; ".join(f"{reason}: {count}" for reason, count in self.refused.items())
        return f"{len(self)} of {len(self.entries)} photos give skin textures" + (f" - {why}" if why else "")

    def skin(self, painted: np.ndarray, rng: np.random.Generator) -> PhotoTexture:
        """Draw a photo's skin with the tone of a painted one, to be laid over it.

        Parameters
        ----------
        painted : (512, 512, 3) uint8 display RGB in the atlas
        rng : decides which photo, and what colours are left to chance
        """
        return self.texture(rng, self._colour.tone_of(painted))

    def texture(self, rng: np.random.Generator, tone: np.ndarray | None = None) -> PhotoTexture:
        """Draw a photo's skin and colour it.

        Parameters
        ----------
        rng : decides which photo, and the colours
        tone : (3,) linear colour of the skin, 0 to 1, or None for a random human one
        """
        entry = self._used[int(rng.integers(len(self._used)))]
        stored = self._read(entry)
        return PhotoTexture(self._colour(stored, rng, tone), stored.known, entry.photo)

    def _read_texture(self, entry: LibraryEntry) -> StoredTexture:
        with Image.open(io.BytesIO(self._cache.read(entry.contents))) as picture:
            pixels = np.asarray(picture)
        reflectance = pixels[..., :-1]
        if reflectance.shape[2] == 1:
            reflectance = np.repeat(reflectance, 3, axis=2)
        return StoredTexture(reflectance, pixels[..., -1], np.array(entry.tone, np.float32), entry.coloured)


class _LibraryBuilder:
    """Takes textures and writes each to the cache, with a record beside it that says that it is complete.

    unread  photos that could not be read, which may be otherwise the next time
    """

    def __init__(
        self,
        settings: PhotoTextureSettings,
        layout: SkinLayout,
        source: ObjectStore,
        cache: ObjectStore,
        recipe: str,
        report: Callable[[str], None],
    ) -> None:
        model = FaceModel.default()
        self._fit = PhotoFitter(settings.fit, model)
        self._take = TextureTaker(model, layout, settings)
        self._source, self._cache, self._recipe, self._report = source, cache, recipe, report
        self.unread = 0

    def build(self, found: list[StoredObject]) -> list[LibraryEntry]:
        """Entries of photos; of equal photos the first counts."""
        entries: dict[str, LibraryEntry] = {}
        for number, item in enumerate(found):
            if number % REPORT_EVERY == 0:
                self._report(f"taking skin textures from photos: {number} of {len(found)}")
            entry = self._entry(item.name)
            entries.setdefault(entry.contents, entry)
        return [entries[contents] for contents in sorted(entries)]

    def _entry(self, name: str) -> LibraryEntry:
        try:
            data = read_photo(self._source, name, MAX_PHOTO_BYTES)
        except PhotoError as error:
            self.unread += 1
            return LibraryEntry(name, f"{self._recipe}/{_digest(name)}", str(error))
        texture = f"{self._recipe}/{hashlib.sha256(data).hexdigest()}.png"
        record = texture.replace(".png", ".json")
        if self._cache.exists(record):
            return _entry(json.loads(self._cache.read(record)))
        entry = self._take_texture(name, data, texture)
        self._cache.write(record, json.dumps(asdict(entry)).encode())
        return entry

    def _take_texture(self, name: str, data: bytes, texture: str) -> LibraryEntry:
        try:
            seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "little")
            taken = StoredTexture.of(self._take(self._fit(data), np.random.default_rng(seed)))
        except PhotoError as error:
            return LibraryEntry(name, texture, str(error))
        reflectance = taken.reflectance if taken.coloured else taken.reflectance[..., :1]
        picture = Image.fromarray(np.concatenate([reflectance, taken.known[..., None]], 2))
        encoded = io.BytesIO()
        picture.save(encoded, "PNG", compress_level=4)
        self._cache.write(texture, encoded.getvalue())
        red, green, blue = (float(value) for value in taken.tone)
        return LibraryEntry(name, texture, "", (red, green, blue), taken.coloured)


def default_cache() -> Path:
    """Folder of the textures where the settings name none: the user's one for caches, or where there is no home that
    can be written to, one for temporary files.
    """
    lend_home()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    existing = next(folder for folder in (caches, *caches.parents) if folder.exists())
    caches = caches if os.access(existing, os.W_OK | os.X_OK) else temporary_home()
    return caches / "facerecon_ray" / "photo_textures"


def _entry(row: dict[str, object]) -> LibraryEntry:
    return LibraryEntry(**{**row, "tone": tuple(row["tone"])})  # type: ignore[arg-type]


def _name_hash(item: StoredObject) -> str:
    return hashlib.sha256(os.fsencode(item.name)).hexdigest()


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
