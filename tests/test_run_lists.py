import pytest

from looksam.run_lists import duration, unnamed


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (42.06, "42.1 s"), (185.0, "3 min 5 s"), (3600.0, "1 h 0 min"), (7650.0, "2 h 7 min")],
)
def test_a_time_is_said_as_people_say_it(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_a_runs_name_is_taken_out_of_paths_and_of_nothing_else() -> None:
    command = "train results/runs/a/model --config a=[b]"
    assert unnamed(command, "a") == command.replace("/a/", "/RUN/")
