"""Facts about photographs: what each kind of file becomes, and how evaluation sees it."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from made_shards import write_shards
from photo_runs import PHOTOS, photo, photo_shards, photographs
from PIL import Image
from torchvision.transforms import v2

from looksam.errors import UserError
from looksam.images import Images, Photographs
from looksam.rows import read_index
from looksam.sample import Sample


def of(folder: Path, *contents: bytes, channels: int = 3) -> Photographs:
    """Photographs of these files."""
    samples = [Sample("train", f"a{i}", content, "jpg", 0) for i, content in enumerate(contents)]
    write_shards(samples, folder)
    return Photographs(read_index(folder, "train"), PHOTOS | {"channels": channels})


def by_pil(content: bytes, mode: str = "RGB") -> torch.Tensor:
    """The pixels as PIL has them, [C, h, w]."""
    array = np.array(Image.open(io.BytesIO(content)).convert(mode))
    return torch.from_numpy(array).view(*array.shape[:2], -1).permute(2, 0, 1)


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "JPEG"), ("RGB", "PNG"), ("P", "PNG")]
)
def test_every_kind_of_file_has_the_pixels_that_pil_sees(tmp_path: Path, mode: str, kind: str) -> None:
    content = photo(3, mode, kind)
    (picture,) = of(tmp_path, content).pictures(torch.tensor([0]))
    # two builds of one JPEG library: equal but for its choice of instructions
    assert (picture.int() - by_pil(content).int()).abs().max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_with_one_channel_photographs_are_grey(tmp_path: Path, mode: str) -> None:
    content = photo(3, mode)
    (picture,) = of(tmp_path, content, channels=1).pictures(torch.tensor([0]))
    assert picture.shape == by_pil(content, "L").shape
    # torchvision takes the brightness of the file, PIL that of the colours made of it
    assert (picture.int() - by_pil(content, "L").int()).abs().max() <= 2


def test_a_png_that_is_called_jpg_is_read_as_a_png(tmp_path: Path) -> None:
    content = photo(4, kind="PNG")
    (picture,) = of(tmp_path, content).pictures(torch.tensor([0]))
    assert torch.equal(picture, by_pil(content))


def test_evaluation_sees_the_centre_once_the_shorter_side_is_brought_to_size(tmp_path: Path) -> None:
    contents = [photo(number) for number in range(6)]
    expected = v2.Compose([v2.Resize(36, antialias=True), v2.CenterCrop(32)])
    pictures = [expected(by_pil(content)) for content in contents]
    found = of(tmp_path, *contents).at(torch.arange(6))
    assert (found.int() - torch.stack(pictures).int()).abs().max() <= 1


def test_an_image_of_any_shape_becomes_one_of_the_networks(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 200), (9, 9, 9)).save(buffer, "JPEG")
    assert of(tmp_path, buffer.getvalue()).at(torch.tensor([0])).shape == (1, 3, 32, 32)


def test_an_image_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    content = photo(1, kind="PNG")
    data = of(tmp_path, content[:45] + bytes(4) + content[49:])
    with pytest.raises(UserError, match=r"train-000000\.tar: sample a0 cannot be decoded"):
        data.at(torch.tensor([0]))


def test_shards_of_a_tree_hold_every_odd_file_of_it(tmp_path: Path) -> None:
    data = photographs(photo_shards(tmp_path))
    assert data.at(torch.arange(50)).shape == (50, 3, 32, 32)
    assert data.labels.bincount().tolist() == [17, 17, 16]


def test_images_in_memory_are_handed_out_as_copies() -> None:
    data = Images(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.arange(3))
    data.at(torch.tensor([1])).fill_(9)
    assert not data.images.any()
