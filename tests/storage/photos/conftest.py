import pytest

from facerecon_ray.storage.s3_store import S3Store


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each range of an object that is read from now on."""
    asked: list[int] = []
    read_range = S3Store.read_range

    def counted(self: S3Store, name: str, start: int, end: int, etag: str = "") -> bytes:
        asked.append(end - start)
        return read_range(self, name, start, end, etag)

    monkeypatch.setattr(S3Store, "read_range", counted)
    return asked
