import io

import pytest
from PIL import Image

from facerecon_ray.storage.photos.jpeg_xl import stored_size


@pytest.mark.parametrize("in_boxes", [False, True])
@pytest.mark.parametrize(
    "size", [(8, 8), (256, 256), (160, 120), (161, 121), (1, 300), (1920, 1080), (640, 320), (9000, 3), (513, 16)]
)
def test_sizes_are_read_without_decoding(size: tuple[int, int], in_boxes: bool) -> None:
    contents = io.BytesIO()
    Image.new("L", size).save(contents, "JXL", lossless=True, effort=1, use_container=in_boxes)
    assert stored_size(contents.getvalue()) == size


@pytest.mark.parametrize("data", [b"", b"\xff", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\0jxlc"])
def test_files_without_a_picture_are_refused(data: bytes) -> None:
    with pytest.raises(SyntaxError, match="no JPEG XL codestream"):
        stored_size(data)
