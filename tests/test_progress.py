import pytest

from looksam.progress import Progress, shown


def after(epoch: int, seconds: float = 2.0, loss: float = 0.5) -> Progress:
    """Progress after an epoch of four, of 100 images each."""
    return Progress(epoch, 4, 100 * epoch, 400, loss, 0.75, seconds)


def test_the_rate_is_that_of_the_whole_training_so_far() -> None:
    assert after(3, seconds=2.0).images_per_second == 150


def test_the_time_left_is_that_of_the_epochs_left_at_the_present_rate() -> None:
    assert after(1, seconds=2.0).eta == 6
    assert after(4).eta == 0


def test_off_a_terminal_the_last_epoch_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("vit.digits") as show:
        show(after(4))
    out, err = capsys.readouterr()
    assert out == "vit.digits: epoch 4/4, loss 0.5000, accuracy 75.0%, 200 images/s, 2 s, 0 s left\n"
    assert err == ""


def test_off_a_terminal_epochs_that_follow_quickly_have_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("vit.digits") as show:
        for epoch in (1, 2, 3):
            show(after(epoch))
    assert capsys.readouterr().out == ""


def test_off_a_terminal_a_line_comes_once_enough_time_has_passed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("looksam.progress.SECONDS_BETWEEN_LINES", 0.0)
    with shown("vit.digits") as show:
        for epoch in (1, 2):
            show(after(epoch))
    starts = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert starts == ["vit.digits: epoch 1/4", "vit.digits: epoch 2/4"]


def test_off_a_terminal_a_training_that_diverges_says_so_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("vit.digits") as show:
        show(after(1, loss=float("nan")))
    assert capsys.readouterr().out.startswith("vit.digits: epoch 1/4, loss nan")
