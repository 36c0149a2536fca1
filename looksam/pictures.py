"""What an image file says of itself, and whether it is whole, without decoding its pixels."""

import io
import struct
import warnings
from typing import Literal, NamedTuple

# a photograph of 100 megapixels takes 300 MB decoded; ImageNet's largest has 44
MOST_PIXELS = 100_000_000
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB\x60\x82"
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
# start-of-frame markers; C4, C8 and CC between them mean other things
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SCAN, END = 0xDA, b"\xff\xd9"
# of a segment: 0xFF, marker, length
segment = struct.Struct(">BBH").unpack_from
# markers without a length
BARE = frozenset({0x01, *range(0xD0, 0xD9)})


class Picture(NamedTuple):
    """An image file's facts. mode: as PIL names it."""

    format: Literal["JPEG", "PNG"]
    mode: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """What its file is called in a shard."""
        return "png" if self.format == "PNG" else "jpg"


class Broken(ValueError):
    """An image that cannot be used, and why."""


def picture(content: bytes, decoded: bool = False) -> Picture:
    """The facts of a JPEG or PNG file. Broken where it is empty, something else, cut short or too large.

    decoded: decode its pixels too, a hundred times slower. What looks wrong from outside is always decoded
    before it is called broken.
    """
    if not content:
        raise Broken("empty")
    if content.startswith(PNG_START):
        found, whole = png(content), content.rfind(PNG_END) > 0
    elif content.startswith(b"\xff\xd8"):
        found, whole = jpeg(content)
    else:
        raise Broken(f"neither JPEG nor PNG: starts with 0x{content[:4].hex()}")
    if found.width * found.height > MOST_PIXELS:
        raise Broken(f"{found.width} x {found.height} pixels, more than {MOST_PIXELS:,}")
    if not found.width or not found.height:
        raise Broken("no pixels")
    if decoded or not whole:
        decode(content)
    return found


def png(content: bytes) -> Picture:
    """The facts in the header of a PNG file."""
    if len(content) < 33 or content[12:16] != b"IHDR":
        raise Broken("cut short before its size")
    width, height, _, kind = struct.unpack(">IIBB", content[16:26])
    return Picture("PNG", PNG_MODES.get(kind, "?"), width, height)


def jpeg(content: bytes) -> tuple[Picture, bool]:
    """The facts in the frame header of a JPEG file, and whether its end comes after its first scan."""
    found, at, size = None, 2, len(content)
    while at + 4 <= size:
        start, marker, length = segment(content, at)
        if start != 0xFF:
            raise Broken(f"no JPEG marker at byte {at}")
        if marker == 0xFF:
            at += 1
        elif marker in BARE:
            at += 2
        else:
            if marker in FRAMES and at + 10 <= size:
                height, width, parts = struct.unpack_from(">HHB", content, at + 5)
                found = Picture("JPEG", JPEG_MODES.get(parts, "?"), width, height)
            at += 2 + max(2, length)
            if marker == SCAN:
                break
    if found is None:
        raise Broken("cut short before its size")
    return found, content.rfind(END, at) >= 0


def decode(content: bytes) -> None:
    """Decode all pixels, as the loader does. Broken where that fails."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
                image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Broken(f"not decodable: {error}".replace("\n", " ")) from error
