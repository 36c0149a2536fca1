"""Calibration: times of what was not run, computed from the measured times of the same table. Torch-free."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from looksam.origins import UNKNOWN

# what `looksam.costs.cost` returns
Cost = Mapping[str, Any]
Measured = list[tuple[Cost, float]]

# of a measured time; a formula that misses one by more would plan noise
MOST_OFF = 0.5


class Fit(NamedTuple):
    """Time of one operation in a base step, of it in a second pass, and of reusing g_v, by least squares.

    cells: measured ones. off: by which part of its time the farthest of them is off the fit; None where there
    are as few cells as numbers to fit, which then meet all of them.
    """

    base: float
    ascent: float
    reuse: float
    cells: int
    off: float | None

    def time(self, cost: Cost) -> float:
        """The time of a run of this cost, in the unit of the measured ones."""
        factor = self.base + self.ascent * cost["extra_passes"] + self.reuse * cost["reuses"]
        return float(cost["operations"] * factor)


def planned(
    cells: Sequence[Mapping[str, Any]], values: Sequence[float | None], devices: Collection[str]
) -> tuple[list[dict[str, Any]], str]:
    """By cell of a request, what planning changes of it, and a sentence on what the planned times rest on.

    values: measured, by cell. devices: of the table's runs. A cell that was not run gets a time, or why it
    has none.
    """
    measured: dict[tuple[str, str], Measured] = {}
    for cell, value in zip(cells, values, strict=True):
        if cell["cost"] and value is not None:
            measured.setdefault(kin(cell), []).append((cell["cost"], value))
    changes: list[dict[str, Any]] = []
    calibrated: dict[tuple[str, str], None] = {}
    other_batches = False
    for cell in cells:
        changes.append({})
        if cell["cost"] and not cell["runs"]:
            own, cost = measured.get(kin(cell), []), cell["cost"]
            if why := obstacle(cost, own, devices):
                changes[-1] = {"absent": f"{cell['absent']}, and its time is not planned: {why}"}
                continue
            changes[-1] = {"status": "planned", "planned": fitted(own).time(cost)}
            calibrated[kin(cell)] = None
            other_batches |= all(cost["batch_size"] != one["batch_size"] for one, _ in own)
    fits = [fitted(measured[key]) for key in calibrated]
    return changes, told(fits, devices, other_batches)


def kin(cell: Mapping[str, Any]) -> tuple[str, str]:
    """What cells share whose times make one fit."""
    return cell["metric"], cell["cost"]["alike"]


def obstacle(cost: Cost, measured: Measured, devices: Collection[str]) -> str:
    """Why the measured cells cannot tell the time of a run of this cost; empty where they can."""
    passes = {one["extra_passes"] for one, _ in measured}
    if not {0, 1} <= passes:
        return "this table does not measure both the base optimizer and SAM on its network"
    if len(devices) != 1 or UNKNOWN in devices:
        return "the table's runs are not known to be of one device"
    if cost["reuses"] and not any(one["reuses"] for one, _ in measured):
        return "this table measures no time of a method that reuses g_v"
    fit = fitted(measured)
    if fit.ascent <= 0 or fit.time(cost) <= 0:
        return "the times that this table measures do not grow with gradient passes"
    if fit.off is not None and fit.off > MOST_OFF:
        return f"the formula misses the times that this table measures by up to {100 * fit.off:.0f} %"
    return ""


def fitted(measured: Measured) -> Fit:
    """The fit to measured cells, the base optimizer and SAM among them."""
    rows = np.array([(1.0, one["extra_passes"], float(one["reuses"])) for one, _ in measured])
    times = np.array([time / one["operations"] for one, time in measured])
    unknowns = rows if rows[:, 2].any() else rows[:, :2]
    found = np.linalg.lstsq(unknowns, times, rcond=None)[0]
    apart = np.abs(unknowns @ found / times - 1).max()
    base, ascent, reuse = (*(float(x) for x in found), 0.0)[:3]
    return Fit(base, ascent, reuse, len(times), float(apart) if len(times) > len(found) else None)


def told(fits: Sequence[Fit], devices: Collection[str], other_batches: bool) -> str:
    """What planned times rest on; empty where there are none."""
    if not fits:
        return ""
    cells = sum(fit.cells for fit in fits)
    off = [fit.off for fit in fits if fit.off is not None]
    sentences = [
        "Planned: not run, but computed from operations and gradient passes by the formula of looksam plan, "
        f"calibrated on the {cells} times that this table measures, on {', '.join(devices)}.",
        f"The formula misses these by up to {100 * max(off):.0f} %."
        if len(off) == len(fits)
        else "It has as many unknowns, so that nothing here says by how much it is off.",
    ]
    if other_batches:
        sentences.append(
            "It takes images a second to be the same at every batch size, though a small one has fewer."
        )
    return " ".join(sentences)
