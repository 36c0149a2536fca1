from test_tables import ENVIRONMENT

from looksam.origins import described, differing, origin

HERE = origin(ENVIRONMENT)
THERE = origin(ENVIRONMENT | {"device": "NVIDIA H100", "type": "cuda", "torch": "2.10.0"})


def test_one_environment_is_told_whole() -> None:
    assert described([HERE, HERE], has_times=True) == (
        "Trained on AMD EPYC, 1 thread; torch 2.9.0, timm 1.0.20, looksam 0.1.0, Python 3.12.1; "
        "bitwise on this device."
    )


def test_of_several_the_differences_are_counted() -> None:
    assert described([HERE, THERE, HERE], has_times=False) == (
        "Cells come from 2 devices: AMD EPYC, 1 thread (2 runs), NVIDIA H100 (1 run); "
        "and 2 versions of torch: 2.9.0 (2 runs), 2.10.0 (1 run). "
        "The same for all: timm 1.0.20, looksam 0.1.0, Python 3.12.1, bitwise on this device."
    )


def test_times_of_several_devices_are_warned_of() -> None:
    warning = "Times from different devices do not compare."
    assert described([HERE, THERE], has_times=True).endswith(warning)
    assert warning not in described([HERE, origin(ENVIRONMENT | {"torch": "3"})], has_times=True)


def test_a_commit_is_part_of_our_version() -> None:
    committed = origin(ENVIRONMENT | {"commit": "abc+changes"})
    assert committed.looksam == "0.1.0 (abc+changes)"
    assert differing([HERE, committed]) == ["looksam"]


def test_an_environment_that_was_not_recorded_is_not_guessed() -> None:
    assert described([origin(None)], has_times=True) == "Where its runs were trained is not recorded."
    assert "not recorded (1 run)" in described([HERE, origin(None)], has_times=False)


def test_a_table_without_runs_comes_from_nowhere() -> None:
    assert described([], has_times=False) == ""
