"""Searches: tables whose cells are trials, and the runs of other tables that take the best one's values."""

from collections.abc import Mapping
from dataclasses import dataclass

from looksam.cells import Point
from looksam.choice import OF_METHOD, with_values
from looksam.config import Row
from looksam.errors import UserError
from looksam.identity import digest
from looksam.settings import Resolver
from looksam.trials import trial_values

# of a method's row, what does not make it another kind of method
NOT_OF_KIND = frozenset({"k", "label", "chosen_as", *OF_METHOD})


@dataclass(frozen=True)
class Trials:
    """One row of a search: its id, label and method, what is searched, and the settings of each trial."""

    id: str
    label: str
    method: str
    keys: tuple[str, ...]
    values: tuple[Row, ...]
    settings: tuple[Row, ...]

    @property
    def request(self) -> str:
        """Where the request of its choice lies."""
        return f"results/searches/{self.id}/trials.json"

    @property
    def file(self) -> str:
        """Where its choice lies."""
        return f"results/searches/{self.id}/chosen.json"


class Search:
    """A search: its rows, each with the trials of one network and method."""

    def __init__(self, name: str, spec: Row, rows: Mapping[str, Row], resolver: Resolver) -> None:
        self.name, self.spec, self.resolver = name, spec, resolver
        self.where = f"config/tables/{name}.yaml"
        for key, limits in spec["search"]["space"].items():
            if limits["low"] >= limits["high"]:
                told = f"low {limits['low']} is not below high {limits['high']}"
                raise UserError(f"{self.where}: search.space.{key}: {told}")
        # what rows name, be it all of them or some
        named = dict.fromkeys(key for row in rows.values() for key in row)
        self.varied = [key for key in named if key not in spec["runs"]]
        self.rows = {
            label: (coordinates, self.trials(label, coordinates)) for label, coordinates in rows.items()
        }

    def trials(self, label: str, coordinates: Row) -> Trials:
        """The trials of the row at these coordinates."""
        asked = self.spec["search"]
        settings = self.resolver.settings(coordinates, self.name)
        keys = self.searched(settings, coordinates)
        if not keys:
            raise UserError(f"{self.where}: nothing in its space is a setting of {label}; leave the row out")
        numbers = range(1, asked["trials"] + 1)
        values = [{key: trial_values(asked["space"], number)[key] for key in keys} for number in numbers]
        held_out = {"validation_images": asked["validation_images"]}
        tried = [with_values(settings, one) | held_out for one in values]
        self.resolver.check(tried[0], self.where)
        model, dataset = settings["model"]["name"], settings["dataset"]["name"]
        method = coordinates["method"]
        readable = f"{model}.{dataset}.b{settings['batch_size']}.{method}"
        # of all trials' settings: another space makes another search, and one taken back finds the old
        identity = f"{readable}.{digest({'trials': tried})}"
        return Trials(identity, label, method, keys, tuple(values), tuple(tried))

    @property
    def columns(self) -> list[Point]:
        """One column a trial, labelled by its number and the values that it tries."""
        asked = self.spec["search"]
        found = []
        for number in range(1, asked["trials"] + 1):
            values = trial_values(asked["space"], number).items()
            told = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in values)
            found.append(Point(f"{number}: {told}", {}))
        return found

    def searched(self, settings: Row, coordinates: Row) -> tuple[str, ...]:
        """What of the space a run takes from a trial: what it uses, unless its cell or its method sets it."""
        owned = coordinates.keys() | self.resolver.config.methods[coordinates["method"]].keys()
        used = settings.keys() | settings["method"].keys()
        return tuple(key for key in self.spec["search"]["space"] if key in used - owned)

    def chosen_by(self, settings: Row, coordinates: Row, table: str) -> Row:
        """The settings of a run of `table`, with a reference to the choice in place of what is searched."""
        trials = self.row(coordinates, table)
        keys = [key for key in self.searched(settings, coordinates) if key in trials.keys]
        if not keys:
            return settings
        method = {key: value for key, value in settings["method"].items() if key not in keys}
        kept = {key: value for key, value in settings.items() if key not in keys}
        return kept | {"method": method, "chosen": {"from": trials.file, "settings": keys}}

    def row(self, coordinates: Row, table: str) -> Trials:
        """The row whose choice a run of `table` takes: its method's, or its kind's of the nearest k.

        The method is the one that the run's method names in `chosen_as`, where it does.
        """
        methods, name = self.resolver.config.methods, str(coordinates["method"])
        name = str(methods[name].get("chosen_as", name))
        told = self.told_apart(coordinates, f"config/tables/{table}.yaml")
        alike = [
            trials
            for row, trials in self.rows.values()
            if kind(methods[trials.method]) == kind(methods[name])
            and self.told_apart(row, self.where) == told
        ]
        own = [trials for trials in alike if trials.method == name]
        nearest = sorted(alike, key=lambda trials: abs(methods[trials.method]["k"] - methods[name]["k"]))
        if not alike:
            listed = ", ".join(f"{key} {value}" for key, value in coordinates.items())
            taken = "" if name == coordinates["method"] else f", whose values are chosen as {name}'s"
            raise UserError(
                f"{self.where}: no row for {listed} of {table}{taken}; "
                "name its model and method in the rows, so that it has as many trials as the others"
            )
        return (own or nearest)[0]

    def told_apart(self, coordinates: Row, where: str) -> Row:
        """What a run and the row whose choice it takes agree in: what tells rows apart, less the method.

        A setting that coordinates do not name is the recipe's; none, as of label_noise, is the same as 0.
        """
        paper = self.resolver.paper_side(coordinates, where)
        return {key: paper.get(key) or 0 for key in ("recipe", "model", *self.varied) if key != "method"}


def kind(method: Row) -> Row:
    """What methods share that differ in k alone; the base optimizer and SAM itself are kinds of their own."""
    fixed = {key: value for key, value in method.items() if key not in NOT_OF_KIND}
    return fixed | {"often": min(method["k"], 2)}
