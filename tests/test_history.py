import math
from pathlib import Path

import pyarrow.parquet as pq
import torch
from nets import Closure, batches, built

from looksam import Method, SharpnessAware
from looksam.history import FOUND, HISTORY, History

K = 2
ZERO = torch.zeros(1)


def recorded(steps: int) -> tuple[History, list[dict[str, float]]]:
    """The history of a float64 training by LookSAM, and the diagnostics read at each refresh."""
    model, history, read = built(), History(1), []
    assert next(model.parameters()).dtype == torch.float64
    sharpness = SharpnessAware(model, Method(k=K, descent="g_v", rho=0.1, alpha=0.01))
    for step, batch in enumerate(batches(steps)):
        looks = sharpness.is_ascent
        sharpness.backward(Closure(model, batch))
        history.add(0, ZERO, ZERO, 0.1, 1, sharpness.diagnostics if looks else {})
        if looks:
            read.append(sharpness.read_diagnostics() | {"step": step})
        torch.optim.SGD(model.parameters(), lr=0.1).step()
    history.fetch()
    return history, read


def test_what_refreshes_found_is_in_the_history_to_the_bit() -> None:
    history, read = recorded(2 * K + 1)
    for name in FOUND:
        expected = {found["step"]: found[name] for found in read if name in found}
        assert {s: x for s, x in enumerate(history.rows[name]) if x is not None} == expected


def test_steps_between_found_nothing() -> None:
    history, _ = recorded(2 * K + 1)
    assert [history.rows[name][1::K] for name in FOUND] == [[None, None]] * len(FOUND)


def test_a_ratio_that_overflowed_is_null() -> None:
    history = History(1)
    history.add(0, ZERO, ZERO, 0.1, 2, {"g_v_over_g": torch.tensor(math.inf)})
    history.fetch()
    assert history.rows["g_v_over_g"] == [None]


def test_a_state_brings_nulls_and_numbers_back() -> None:
    history, _ = recorded(2 * K + 1)
    history.judge(0.5)
    again = History(1)
    again.load(history.state())
    assert again.rows == history.rows


def test_a_method_that_never_looks_has_columns_of_nulls(tmp_path: Path) -> None:
    history = History(1)
    history.add(0, ZERO, ZERO, 0.1, 1)
    history.fetch()
    history.write(tmp_path / "history.parquet")
    table = pq.read_table(tmp_path / "history.parquet")
    assert table.schema == HISTORY
    assert [table[name].to_pylist() for name in FOUND] == [[None]] * len(FOUND)
