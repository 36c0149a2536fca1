import pytest

from looksam.timing import timing


def test_rates_are_those_of_warm_epochs() -> None:
    found = timing([5.0, 1.0, 3.0], 60)
    assert found == {"seconds": 9.0, "seconds_per_epoch": 2.0, "images_per_second": 30.0}


def test_epochs_in_which_a_process_started_are_left_out() -> None:
    assert timing([5.0, 1.0, 7.0, 2.0], 60, cold={0, 2})["seconds_per_epoch"] == 1.5


@pytest.mark.parametrize("seconds", [[], [5.0]])
def test_a_training_without_a_warm_epoch_has_no_rate(seconds: list[float]) -> None:
    found = timing(seconds, 60)
    assert (found["seconds_per_epoch"], found["images_per_second"]) == (None, None)
