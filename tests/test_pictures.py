import io
import struct
import zlib
from typing import Any

import pytest
from image_trees import jpeg
from PIL import Image

from looksam.pictures import Broken, Picture, picture


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_tells_its_size_and_mode(mode: str, progressive: bool) -> None:
    found = picture(saved("JPEG", mode, progressive=progressive))
    assert found == Picture("JPEG", mode, 40, 30)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_png_tells_its_size_and_mode(mode: str) -> None:
    assert picture(saved("PNG", mode)) == Picture("PNG", mode, 40, 30)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a", "neither JPEG nor PNG: starts with 0x47494638"),
        (jpeg(1)[:30], "cut short before its size"),
        (saved("JPEG")[:-200], "not decodable"),
        (saved("PNG")[:-200], "not decodable"),
        (b"\x89PNG\r\n\x1a\n", "cut short before its size"),
    ],
)
def test_a_broken_image_has_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Broken, match=reason):
        picture(content)


def test_an_image_without_its_last_marker_is_broken_as_the_loader_finds_it() -> None:
    with pytest.raises(Broken, match="truncated"):
        picture(saved("JPEG")[:-2])


def test_bytes_after_the_end_of_a_jpeg_are_no_fault() -> None:
    assert picture(saved("JPEG") + b"trailer").width == 40


def test_damage_inside_is_found_by_decoding() -> None:
    content = bytearray(saved("PNG"))
    content[60] ^= 255
    assert picture(bytes(content)).width == 40
    with pytest.raises(Broken, match="not decodable"):
        picture(bytes(content), decoded=True)


def test_an_image_of_50000_by_50000_pixels_is_refused_by_its_header() -> None:
    header = struct.pack(">4sIIBBBBB", b"IHDR", 50_000, 50_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(Broken, match="50000 x 50000 pixels, more than 100,000,000"):
        picture(content)
