"""How a table is laid out: the request that `tabulate` fills, with caption, facts and the paper's numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from looksam.axes import axis_keys, model_first
from looksam.cells import Cell, Table, competing
from looksam.chosen import how_chosen
from looksam.config import Config, Row, one_of
from looksam.costs import cost
from looksam.facts import setting_facts
from looksam.searches import Search
from looksam.settings import Resolver, named_row

# our metric: the paper's column in config/published.csv, where its name differs
PUBLISHED_METRIC = {"top1": "top1_percent"}


class Layout:
    """Lays out the tables of one study.

    paper: resolves the settings that Tables 10 and 11 show. searches: by table, the search that serves it.
    """

    def __init__(
        self, config: Config, resolver: Resolver, paper: Resolver, searches: Mapping[str, Search]
    ) -> None:
        self.config, self.resolver, self.paper, self.searches = config, resolver, paper, searches
        self.printed: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in config.published:
            self.printed.setdefault((row["table"], row["metric"]), []).append(row)

    def request(self, table: Table) -> Row:
        """The request of a table: labels, caption, and each cell's runs or fact and the paper's value."""
        spec = table.spec
        facts = spec.get("facts")
        return {
            "table": table.name,
            "title": spec["title"],
            "caption": self.caption(table),
            # a table of facts shows the paper's networks or settings, whatever scale runs
            "scale": "" if facts else self.resolver.scale_name,
            "scale_title": "" if facts else self.resolver.scale["title"],
            "row_header": header(spec["rows"]),
            "column_header": "trial" if table.searches else "" if facts else header(spec["columns"]),
            "rows": [point.label for point in table.rows],
            "columns": facts["columns"] if facts else [point.label for point in table.columns],
            "metrics": facts["columns"] if facts else spec["cell"],
            "plot": spec.get("plot", []),
            "searches": list(table.searches),
            "compare": competing(table),
            "cells": self.fact_cells(table) if facts else self.run_cells(table),
        }

    def run_cells(self, table: Table) -> list[Row]:
        """One entry a cell and metric, for a table that runs fill."""
        return [self.run_cell(table, cell, metric) for cell in table.cells for metric in table.spec["cell"]]

    def run_cell(self, table: Table, cell: Cell, metric: str) -> Row:
        """The entry of one cell and metric."""
        method = self.config.methods[cell.coordinates["method"]]
        return {
            **entry(cell.place.row, cell.place.column, metric),
            "coordinates": cell.coordinates,
            "runs": [run.id for run in cell.runs],
            "seeds": [run.settings["seed"] for run in cell.runs],
            "k": method["k"],
            "descent": method.get("descent"),
            "absent": cell.absent,
            # what a plan calibrates on, and what it is made for
            "cost": cost(cell.settings, metric) if table.planned and cell.settings else None,
            "published": self.published(table.name, cell.coordinates, metric),
        }

    def fact_cells(self, table: Table) -> list[Row]:
        """One entry a cell, for a table of facts about models or settings."""
        where = f"config/tables/{table.name}.yaml"
        of, columns = table.spec["facts"]["of"], table.spec["facts"]["columns"]
        found = []
        for row, point in enumerate(table.rows):
            coordinates = table.spec.get("runs", {}) | point.coordinates
            facts = setting_facts(self.paper.settings(coordinates, table.name)) if of == "settings" else {}
            for column, name in enumerate(columns):
                published = self.published(table.name, coordinates, name)
                cell = entry(row, column, name) | {"published": published}
                if of == "model":
                    model = one_of(coordinates["model"], "model", self.config.models, where)
                    cell["model"] = named_row(model, self.config.models)
                else:
                    cell["fact"] = as_printed(facts[one_of(name, "fact", facts, where)], published)
                found.append(cell)
        return found

    def published(self, table: str, coordinates: Row, metric: str) -> Row | None:
        """The paper's value of a cell, with its status and note; None where the paper has no such cell."""
        asked = {key: value for key, value in coordinates.items() if key != "recipe"}
        for row in self.printed.get((table, PUBLISHED_METRIC.get(metric, metric)), []):
            if all(row.get(key) and same(row[key], value) for key, value in asked.items()):
                return {"value": row["value"], "status": row["status"], "note": row["note"]}
        return None

    def caption(self, table: Table) -> str:
        """The table's own caption, stand-ins, what is left out or not run, what chose rho, epochs, seeds."""
        said = [table.spec.get("caption", "")]
        if table.runs:
            stand_ins = self.stand_ins(table)
            said += [f"Stand-ins: {'; '.join(stand_ins)}."] if stand_ins else []
            for told, without in (("Left out", table.left_out), ("Not run", table.planned)):
                names = [name for combination in without for name in self.combined(combination)]
                between = "; " if any("," in name for name in names) else ", "
                said += [f"{told}: {between.join(names)}."] if names else []
            said.append(how_chosen(table, self.resolver, self.paper, self.searches.get(table.name)))
            epochs = sorted({run.settings["epochs"] for run in table.runs.values()})
            said.append(f"{listed(epochs)} epochs, {table.seeds} seed{'s' if table.seeds > 1 else ''}.")
        return " ".join(part for part in said if part)

    def stand_ins(self, table: Table) -> list[str]:
        """What this scale's runs have for the settings of the paper's, each as "theirs → ours"."""
        pairs: dict[str, None] = {}
        for cell in table.cells:
            if cell.settings:
                paper = self.paper.found(cell.coordinates, table.name) | {"model": cell.coordinates["model"]}
                searched = table.spec.get("search", {}).get("space", {})
                for key, (theirs, ours) in differences(paper, cell.settings).items():
                    if key not in searched:
                        pairs[f"{self.named(key, theirs)} → {ours}"] = None
        return list(pairs)

    def combined(self, combination: Mapping[str, Sequence[Any]]) -> list[str]:
        """A combination in words: each value of one setting, or those of several together."""
        parts = [[self.named(key, value) for value in combination[key]] for key in model_first(combination)]
        return parts[0] if len(parts) == 1 else [" with ".join(" or ".join(part) for part in parts)]

    def named(self, key: str, value: Any) -> str:
        """A setting of the paper's in words: models, methods and data sets by name, others with their key."""
        if key in ("model", "method", "dataset"):
            labelled = self.config.models.get(value) or self.config.methods.get(value) or {}
            return str(labelled.get("label", value))
        return f"{key.replace('_', ' ')} {value}"


def differences(paper: Row, ours: Row) -> dict[str, tuple[Any, Any]]:
    """By setting, the paper's value and ours, where they differ and a reader of the table must know."""
    named = {key: ours[key]["name"] for key in DESCRIBED}
    numbers = {key: ours["method"][key] for key in ("rho", "alpha") if key in ours["method"]}
    mine = named | {"batch_size": ours["batch_size"]} | numbers
    differ = {key: (paper.get(key), value) for key, value in mine.items() if paper.get(key) != value}
    described = {key: (pair[0], description(ours[key])) for key, pair in differ.items() if key in DESCRIBED}
    return differ | described


def description(row: Row) -> str:
    """A model or data set that stands in for another, by name and size."""
    if "architecture" in row:
        sizes = [f"{key.replace('_', ' ')} {listed(value)}" for key, value in row.items() if key in SIZES]
        return f"{row['name']} ({', '.join(sizes)})"
    return (
        f"{row['name']} ({row['train_images']:,} training and {row['test_images']:,} test images of "
        f"{row['height']}x{row['width']}, {row['classes']} classes)"
    )


DESCRIBED = ("model", "dataset")
SIZES = ("patch_size", "dim", "depth", "heads", "width", "blocks")


def listed(values: Any) -> str:
    """Values in a row, as text."""
    return ", ".join(str(value) for value in values) if isinstance(values, list) else str(values)


def entry(row: int, column: int, metric: str) -> Row:
    """A cell's entry with nothing in it yet."""
    nothing = dict.fromkeys(("k", "descent", "fact", "model", "absent", "cost", "published"))
    place = {"row": row, "column": column, "metric": metric}
    return place | {"coordinates": {}, "runs": [], "seeds": []} | nothing


def header(axis: Mapping[str, Any] | list[Row]) -> str:
    """What an axis varies, as a table's corner names it, in the order of its labels."""
    return ", ".join(key.replace("_", " ") for key in model_first(axis_keys(axis)))


def same(published: str, ours: Any) -> bool:
    """Whether a published setting is ours: as numbers where both are, else as text without case."""
    try:
        return float(published) == float(ours)
    except ValueError:
        return published.lower() == str(ours).lower()


def as_printed(fact: str, published: Row | None) -> str:
    """The fact in the paper's own spelling where it is the same number (3e-3 for 0.003)."""
    return (
        str(published["value"])
        if published and published["value"] and same(published["value"], fact)
        else fact
    )
