import os
import signal
from pathlib import Path

import pytest

from looksam.preempt import preemption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_by_its_name_and_the_process_goes_on(number: signal.Signals) -> None:
    with preemption() as asked:
        os.kill(os.getpid(), number)
        assert asked.signal == number.name


def test_without_a_signal_nothing_is_asked() -> None:
    with preemption() as asked:
        assert asked.signal is None


def test_of_two_signals_the_first_is_named() -> None:
    with preemption() as asked:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.signal == "SIGUSR1"


def test_an_interrupt_from_the_keyboard_is_what_it_was() -> None:
    with pytest.raises(KeyboardInterrupt), preemption():
        os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_before_are_back_even_after_an_error() -> None:
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    mine = lambda number, frame: None  # noqa: E731
    before = [signal.signal(number, mine) for number in numbers]
    try:
        with pytest.raises(ZeroDivisionError), preemption():
            raise ZeroDivisionError
        assert [signal.getsignal(number) for number in numbers] == [mine, mine]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_after_the_training_the_signal_ends_the_process_again() -> None:
    child = os.fork()
    if not child:
        with preemption():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_a_forked_worker_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with preemption() as asked:
        worker = os.fork()
        if not worker:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM
        assert asked.signal is None
