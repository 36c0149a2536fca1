"""What walltime is asked for."""

import pytest
from study_files import study

from looksam.costs import device_hours
from looksam.errors import UserError
from looksam.walltime import MARGIN, MINUTES_TO_START, gpus, minutes, named

RUN = next(iter(study(scale="paper", tables=["table4"]).runs.values())).settings
SITE = {"device": "a100", "nodes": 2, "gres": "gpu:8"}


def test_the_walltime_is_the_plans_hours_on_all_devices_with_a_margin() -> None:
    planned = device_hours(RUN, named("a100")) / 16 * 60

    assert 0 <= minutes(RUN, SITE) - (planned * MARGIN + MINUTES_TO_START) < 1


def test_no_more_is_asked_for_than_the_site_allows() -> None:
    assert minutes(RUN, SITE | {"longest": 60}) == 60


def test_devices_that_cannot_share_a_batch_are_refused_before_anything_is_submitted() -> None:
    with pytest.raises(UserError, match=r"a batch of \d+ cannot be shared by 14 devices, .* gres gpu:7"):
        minutes(RUN, SITE | {"gres": "gpu:7"})


@pytest.mark.parametrize(("gres", "count"), [("", 1), ("gpu", 1), ("gpu:8", 8), ("gpu:a100:4", 4)])
def test_gpus_of_a_node_are_read_as_slurm_writes_them(gres: str, count: int) -> None:
    assert gpus(gres) == count
