"""Facts about the loader: what it hands over, what it refuses, and its order."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_shards import write_shards
from PIL import Image

from looksam.draws import order
from looksam.errors import UserError
from looksam.loader import batches, load
from looksam.memory import available_memory
from looksam.sample import Sample, png

COLOUR = {"name": "tiny", "classes": 5, "height": 6, "width": 8, "channels": 3, "decode": "once"}
GREY = COLOUR | {"channels": 1}
RANDOM = np.random.default_rng(0)
TRAIN = [RANDOM.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(5)]


def write(out: Path, *test: bytes, dataset: dict[str, Any] = COLOUR) -> Path:
    """Shards of the five TRAIN images, two a shard, and of the given test files."""
    samples = [Sample("train", f"a{i}", png(image), "png", i) for i, image in enumerate(TRAIN)]
    samples += [
        Sample("test", f"b{i}", content, "png", 0) for i, content in enumerate(test or (png(TRAIN[0]),))
    ]
    return write_shards(samples, out, 2, dataset)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_colour_images_arrive_as_they_were(tmp_path: Path) -> None:
    images, labels = load(write(tmp_path), "train", COLOUR)
    assert images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), np.stack(TRAIN).transpose(0, 3, 1, 2))
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert labels.dtype == torch.int64


def test_one_channel_is_the_grey_of_the_colours(tmp_path: Path) -> None:
    images, _ = load(write(tmp_path, dataset=GREY), "train", GREY)
    grey = np.array(Image.fromarray(TRAIN[3]).convert("L"))
    assert images.shape == (5, 1, 6, 8)
    assert np.array_equal(images[3, 0].numpy(), grey)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK"])
def test_every_mode_of_image_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    image = Image.new("L", (8, 6), 200).convert(mode)
    content = (
        jpeg(image) if mode == "CMYK" else png(np.array(image)) if mode in ("L", "RGB") else saved(image)
    )
    images, _ = load(write(tmp_path, content), "test", COLOUR)
    assert images.shape == (1, 3, 6, 8)
    assert (images.int() - 200).abs().max() <= 3


def test_a_larger_image_is_shrunk_to_cover_and_cut_at_its_centre(tmp_path: Path) -> None:
    image = RANDOM.integers(0, 256, (60, 160, 3), dtype=np.uint8)
    images, _ = load(write(tmp_path, png(image)), "test", COLOUR)
    small = Image.fromarray(image).resize((16, 6), Image.Resampling.BICUBIC)
    centre = torch.from_numpy(np.array(small.crop((4, 0, 12, 6)))).permute(2, 0, 1)
    # PIL rounds its filter's weights by where it starts
    assert (images[0].int() - centre.int()).abs().max() <= 1


def test_shrinking_averages_what_it_drops(tmp_path: Path) -> None:
    checkers = (np.indices((60, 80)).sum(0) % 2 * 255).astype(np.uint8)
    images, _ = load(write(tmp_path, png(checkers), dataset=GREY), "test", GREY)
    assert (images.float() - 127.5).abs().max() < 3


def test_a_smaller_image_is_enlarged(tmp_path: Path) -> None:
    images, _ = load(write(tmp_path, png(np.full((2, 2), 99, dtype=np.uint8)), dataset=GREY), "test", GREY)
    assert images.shape == (1, 1, 6, 8)
    assert (images == 99).all()


def test_an_image_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    content = png(TRAIN[0])
    damaged = content[:45] + bytes(4) + content[49:]
    with pytest.raises(UserError, match=r"test-000000.tar: sample b0 cannot be decoded"):
        write(tmp_path, damaged)


def test_images_that_do_not_fit_into_memory_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    huge: dict[str, Any] = COLOUR | {"height": 10**6, "width": 10**6}
    with pytest.raises(
        UserError, match=r"train images of tiny take 13969\.8 GiB decoded, .*80% of the .* GiB"
    ):
        load(tmp_path, "train", huge)


def test_available_memory_is_less_than_a_machine_has_and_more_than_this_test_needs() -> None:
    assert 2**26 < available_memory() < 2**50


def test_decoded_images_that_were_changed_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "train.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train\.npy was changed after it was written.*delete .* run snake"):
        load(tmp_path, "train", COLOUR)


def test_decoded_images_that_are_missing_are_named(tmp_path: Path) -> None:
    (write(tmp_path) / "train.npy").unlink()
    with pytest.raises(UserError, match=r"train\.npy, the decoded images, .* is missing or damaged"):
        load(tmp_path, "train", COLOUR)


def test_decoded_images_are_mapped_and_not_read(tmp_path: Path) -> None:
    images, _ = load(write(tmp_path), "train", COLOUR)
    maps = Path("/proc/self/maps").read_text()
    assert str(tmp_path / "train.npy") in maps
    assert images.is_contiguous()


def test_writing_into_the_images_leaves_the_file_alone(tmp_path: Path) -> None:
    images, _ = load(write(tmp_path), "train", COLOUR)
    images.zero_()
    assert load(tmp_path, "train", COLOUR).images.any()


def test_batches_are_equal_and_the_remainder_is_dropped() -> None:
    found = batches(103, 10, seed=0, epoch=0)
    assert found.shape == (10, 10)
    assert torch.equal(found.flatten(), order(0, 0, 103)[:100])


def test_a_batch_may_be_all_the_images() -> None:
    (ids,) = batches(20, 20, seed=0, epoch=0)
    assert ids.sort().values.tolist() == list(range(20))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"batch_size 4096 is larger than the 500 training images.*at most 500"
    ):
        batches(500, 4096, seed=0, epoch=0)
