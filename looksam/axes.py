"""A table's rows and columns: what they vary, their points and labels, what a scale takes out of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from looksam.cells import Combinations, Point, among
from looksam.config import Config, Row, one_of
from looksam.errors import UserError
from looksam.facts import OPTIMIZER_LABELS

AXES = ("rows", "columns")

Axis = Mapping[str, Any] | Sequence[Row]


def axis_keys(axis: Axis) -> list[str]:
    """The settings that an axis varies."""
    points = axis if isinstance(axis, Sequence) else [axis]
    return list(dict.fromkeys(key for point in points for key in point if key != "label"))


def varied(spec: Row) -> set[str]:
    """The settings that a table's rows and columns vary."""
    return {key for axis in AXES if axis in spec for key in axis_keys(spec[axis])}


def points(axis: str, left_out: Combinations, table: str, config: Config) -> list[Point]:
    """A table's rows or columns: the product of lists, or an explicit list, less what is left out."""
    spec = config.tables[table]
    asked: Axis = spec[axis]
    if isinstance(asked, Sequence):
        found = [Point(p["label"], {k: v for k, v in p.items() if k != "label"}) for p in asked]
    else:
        values = [dict(zip(asked, combination, strict=True)) for combination in product(*asked.values())]
        found = [Point(label(coordinates, spec, config), coordinates) for coordinates in values]
    for called, times in Counter(point.label for point in found).items():
        if times > 1:
            raise UserError(
                f"config/tables/{table}.yaml: {times} of the {axis} are called {called!r}; give each a label "
                "of its own, here or in config/methods.yaml or models.yaml"
            )
    return [point for point in found if not among(point.coordinates, left_out)]


def label(coordinates: Row, spec: Row, config: Config) -> str:
    """How a table names a combination of settings: by the labels in the config, model first.

    A base optimizer is named where all runs at these coordinates have the same.
    """
    shared = spec.get("runs", {})
    fixed = {} if "optimizer" in varied(spec) else config.recipes.get(shared.get("recipe", ""), {}) | shared
    base = OPTIMIZER_LABELS.get((fixed | coordinates).get("optimizer", ""), "base")
    labels = {
        "optimizer": OPTIMIZER_LABELS,
        **{
            key: {name: row["label"] for name, row in rows.items() if "label" in row}
            for key, rows in (("method", config.methods), ("model", config.models))
        },
    }
    values = {key: coordinates[key] for key in model_first(coordinates)}
    named = [labels.get(key, {}).get(value, str(value)) for key, value in values.items()]
    return ", ".join(named).replace("{optimizer}", base)


def model_first(keys: Iterable[str]) -> list[str]:
    """Settings in the order in which a label names them."""
    return sorted(keys, key=lambda key: key != "model")


def left_out(table: str, scale: str, config: Config) -> Combinations:
    """The combinations of a table's rows, or of its columns, that the scale leaves out."""
    spec = config.tables[table]
    axes = [axis_keys(spec[axis]) for axis in AXES if axis in spec]
    return combinations("leave_out", axes, table, scale, config)


def planned(table: str, scale: str, config: Config) -> Combinations:
    """The combinations of a table's cells that the scale plans and does not run."""
    return combinations("plan", [sorted(varied(config.tables[table]))], table, scale, config)


def combinations(
    key: str, axes: Sequence[Sequence[str]], table: str, scale: str, config: Config
) -> Combinations:
    """What the scale takes out of a table: each value by itself, or the combinations that it lists.

    axes: the settings that may stand in one combination.
    """
    where = f"config/scales/{scale}.yaml: tables.{table}.{key}"
    asked = config.scales[scale].get("tables", {}).get(table, {}).get(key, {})
    listed = asked if isinstance(asked, list) else [{one: values} for one, values in asked.items()]
    for combination in listed:
        for setting in combination:
            one_of(setting, "setting of its rows and columns", [one for axis in axes for one in axis], where)
        if not any(combination.keys() <= set(axis) for axis in axes):
            told = "; ".join(", ".join(axis) for axis in axes)
            raise UserError(
                f"{where}: {' and '.join(combination)} are not of one axis, and whole rows or columns are "
                f"left out; the settings of each axis: {told}"
            )
    return tuple(listed)
