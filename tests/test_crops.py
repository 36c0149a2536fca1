"""Facts about crops: the windows that are drawn, and that resizing is torchvision's."""

import math
from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from looksam.crops import AREAS, RATIOS, centred, chances_of, drawn_crop, resized, window

PICTURE = torch.randint(0, 256, (3, 97, 140), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WINDOWS = [window(375, 500, chances) for chances in chances_of(torch.arange(4000)).tolist()]


def test_resizing_is_that_of_torchvision_to_the_bit() -> None:
    expected = v2.functional.resize(PICTURE, [32, 48], antialias=True)
    assert torch.equal(resized(PICTURE, 32, 48), expected)


def test_a_crop_is_that_of_torchvision_to_the_bit() -> None:
    chances = chances_of(torch.tensor([5])).tolist()[0]
    expected = v2.functional.resized_crop(PICTURE, *window(97, 140, chances), [32, 32], antialias=True)
    assert torch.equal(drawn_crop(PICTURE, (32, 32), chances), expected)


def test_windows_lie_in_the_picture() -> None:
    assert all(t >= 0 and left >= 0 and t + h <= 375 and left + w <= 500 for t, left, h, w in WINDOWS)
    assert all(h > 0 and w > 0 for _, _, h, w in WINDOWS)


def test_windows_have_the_areas_and_ratios_that_were_asked_for() -> None:
    areas = [h * w / (375 * 500) for _, _, h, w in WINDOWS]
    ratios = [w / h for _, _, h, w in WINDOWS]
    # sides are rounded to whole pixels, of which the smallest window has 90
    assert AREAS[0] * 0.98 <= min(areas) <= 0.09
    assert 0.97 <= max(areas) <= AREAS[1]
    assert RATIOS[0] * 0.98 <= min(ratios) <= 0.77
    assert 1.3 <= max(ratios) <= RATIOS[1] * 1.02


def test_areas_and_ratios_are_as_torchvision_draws_them() -> None:
    torch.manual_seed(0)
    drawn = [v2.RandomResizedCrop(9).make_params([torch.empty(3, 375, 500)]) for _ in range(4000)]
    for of in (lambda h, w: h * w / 187_500, lambda h, w: math.log(w / h)):
        ours = torch.tensor([of(h, w) for _, _, h, w in WINDOWS])
        theirs = torch.tensor([of(p["height"], p["width"]) for p in drawn])
        # five standard deviations of the difference of two means of 4000
        assert abs(ours.mean() - theirs.mean()) < 5 * ours.std() * math.sqrt(2 / 4000)
        assert abs(ours.std() / theirs.std() - 1) < 0.08


@pytest.mark.parametrize(("height", "width"), [(10, 1000), (1000, 10), (1, 1)])
def test_where_no_window_fits_the_largest_in_the_middle_is_taken(height: int, width: int) -> None:
    top, left, rows, columns = window(height, width, [[0.99, 0.5, 0.0, 0.0]] * 10)
    assert (top, left) == ((height - rows) // 2, (width - columns) // 2)
    assert min(rows / height, columns / width) > 0


def test_each_key_has_chances_of_its_own_between_0_and_1() -> None:
    chances = chances_of(torch.arange(2000))
    assert chances.min() >= 0
    assert chances.max() < 1
    assert len(chances.unique()) == chances.numel()
    # a mean of 80,000 has a standard deviation of 0.001
    assert abs(chances.mean() - 0.5) < 0.005


def test_the_centre_of_a_picture_that_fits_is_the_picture() -> None:
    assert torch.equal(centred(PICTURE[:, :97, :97], 97, (97, 97)), PICTURE[:, :97, :97])


def test_crops_need_no_torchvision(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = "import sys, looksam.train, looksam.evaluate; sys.exit('torchvision.io' in sys.modules)"
    # timm, which builds networks, is imported where one is built
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=tmp_path).returncode == 0
