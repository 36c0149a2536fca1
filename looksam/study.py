"""A study: the config's tables at a scale, as runs to train, tables to fill and requests to write.

Torch-free, because the Snakefile imports it: planning must cost no more than reading the config.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from looksam.axes import AXES, left_out, planned, points
from looksam.cells import NOT_RUN, Cell, Place, Point, Run, Table, among, excluded, report_request
from looksam.config import Row, load_config
from looksam.fingerprint import Code
from looksam.identity import digest, words
from looksam.layout import Layout
from looksam.requests import write_request
from looksam.resting import gathering, judging, reporting
from looksam.searches import Search
from looksam.settings import Resolver

# requests written at a time
WRITERS = 32


class Study:
    """The tables that the config chooses, at its scale. Raises UserError where the config is wrong.

    searches: by name. serving: by table, the search that chooses its runs' learning rate, rho and alpha.
    """

    def __init__(self, chosen: Mapping[str, Any], root: Path = Path()) -> None:
        self.config = load_config(chosen, root)
        self.root = root
        self.code = Code(root / "looksam")
        self.scale_name: str = chosen["scale"]
        self.scale = self.config.scales[self.scale_name]
        self.resolver = Resolver(self.config, self.code, self.scale_name)
        self.searches = {name: self.search(name) for name, t in self.config.tables.items() if "search" in t}
        named = self.scale.get("searches", {})
        self.serving = {table: self.searches[named[table]] for table in self.config.tables if table in named}
        paper = Resolver(self.config, self.code, "paper")
        self.layout = Layout(self.config, self.resolver, paper, self.serving)
        self.tables = {name: self.table(name) for name in self.config.tables}

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Every run of the study by id; tables share runs."""
        return {key: run for table in self.tables.values() for key, run in table.runs.items()}

    def table(self, name: str) -> Table:
        """The table `name` with its runs at this scale; a table of facts has neither columns nor runs."""
        spec = self.config.tables[name]
        shared = spec.get("runs", {})
        at_scale = self.scale.get("tables", {}).get(name, {})
        seeds = self.config.chosen.get("seeds", at_scale.get("seeds", self.scale["seeds"]))
        if "facts" in spec:
            rows = points("rows", (), name, self.config)
            rows = [row for row in rows if excluded(spec, shared | row.coordinates) is None]
            return Table(name, spec, rows, [], [], seeds, (), ())
        if "search" in spec:
            return self.search_table(self.searches[name])
        without, later = (of(name, self.scale_name, self.config) for of in (left_out, planned))
        rows, columns = (points(axis, without, name, self.config) for axis in AXES)
        table = Table(name, spec, rows, columns, [], seeds, without, later)
        for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
            cell = self.cell(table, Place(i, j), shared | row.coordinates | column.coordinates)
            table.cells.append(cell)
        return table

    def search(self, name: str) -> Search:
        """The search of a table `name`, with a row's trials at each of its rows."""
        spec = self.config.tables[name]
        rows = points("rows", left_out(name, self.scale_name, self.config), name, self.config)
        coordinates = {point.label: spec["runs"] | point.coordinates for point in rows}
        return Search(name, spec, coordinates, self.resolver)

    def search_table(self, search: Search) -> Table:
        """A search as a table: its rows by its trials, each trained once and judged on held-out images."""
        spec = search.spec | {"cell": ["validation_top1"]}
        without = left_out(search.name, self.scale_name, self.config)
        rows = [Point(label, coordinates) for label, (coordinates, _) in search.rows.items()]
        cells = [
            Cell(Place(i, j), coordinates, (self.run(settings, trials.method, 0),), None)
            for i, (coordinates, trials) in enumerate(search.rows.values())
            for j, settings in enumerate(trials.settings)
        ]
        ids = tuple(trials.id for _, trials in search.rows.values())
        return Table(search.name, spec, rows, search.columns, cells, 1, without, (), ids)

    def cell(self, table: Table, place: Place, coordinates: Row) -> Cell:
        """The cell of the table at its coordinates, with one run a seed."""
        if (absent := excluded(table.spec, coordinates)) is not None:
            return Cell(place, coordinates, (), absent)
        settings = self.resolver.settings(coordinates, table.name)
        if search := self.serving.get(table.name):
            settings = search.chosen_by(settings, coordinates, table.name)
        if among(coordinates, table.planned):
            return Cell(place, coordinates, (), NOT_RUN, settings)
        runs = tuple(self.run(settings, coordinates["method"], seed) for seed in range(table.seeds))
        return Cell(place, coordinates, runs, None)

    def run(self, settings: Row, method: str, seed: int) -> Run:
        """The run of these settings; its id is readable and ends in a digest of all of them."""
        settings = settings | {"seed": seed}
        dataset = settings["dataset"]
        shards = f"{dataset['name']}.{digest(dataset)}"
        readable = f"{settings['model']['name']}.{dataset['name']}.b{settings['batch_size']}.{method}.s{seed}"
        return Run(f"{readable}.{digest(settings)}", settings, shards)

    def write_requests(self) -> None:
        """Write every request of the study below results/; unchanged ones keep their time stamp."""

        def write(request: tuple[str, Row]) -> None:
            path, content = request
            write_request(self.root / path, json.dumps(content, indent=1) + "\n")

        # each waits until the disk or the server has it; many wait together, so that thousands take seconds
        with ThreadPoolExecutor(WRITERS) as pool:
            for _ in pool.map(write, self.requests().items()):
                pass

    def requests(self) -> dict[str, Row]:
        """Path to content of every request: shard folders, runs, evaluations, tables, claims, the report."""
        code, found = self.code, {}
        for run in self.runs.values():
            chosen = words(run.settings)
            dataset = run.settings["dataset"]
            by = ("fetch", "fetch") if "shards" in dataset else ("shards", "shard")
            shard = {"dataset": dataset, "code": code.fingerprint(*by, chosen)}
            found[f"results/shards/{run.shards}/source.json"] = shard
            found[f"results/runs/{run.id}/run.json"] = {
                "id": run.id,
                "shards": f"results/shards/{run.shards}",
                "settings": run.settings,
                "code": code.fingerprint("train", "train", chosen),
            }
        for search in self.searches.values():
            found |= self.choices(search)
        for table in self.tables.values():
            if table.runs:
                found[f"results/evaluations/{table.name}.json"] = self.evaluation(table)
            request = self.layout.request(table)
            architectures = {cell["model"]["architecture"] for cell in request["cells"] if cell["model"]}
            request["code"] = code.fingerprint("tables", "tabulate", architectures)
            found[f"results/tables/{table.name}.json"] = request
        claims = judging(self.config.claims, self.tables)
        found["results/claims.json"] = claims | {"code": code.fingerprint("judge", "judge")}
        gathered = gathering(self.config.claims["evidence"], self.tables, self.serving)
        if gathered is not None:
            found["results/evidence/gather.json"] = gathered | {"code": code.fingerprint("gather", "gather")}
        found["results/evidence/page.json"] = {"code": code.fingerprint("evidence_page", "evidence_page")}
        report = {"code": code.fingerprint("report", "report")}
        report |= reporting(self.config.claims, claims, gathered)
        return found | {
            "results/report.json": report_request(self.tables.values(), self.config.chosen, found) | report
        }

    def choices(self, search: Search) -> dict[str, Row]:
        """Path to content of the request of each choice of a search: its trials, and what compares them."""
        found = {}
        for _, trials in search.rows.values():
            runs = [self.run(settings, trials.method, 0) for settings in trials.settings]
            found[trials.request] = {
                "search": trials.id,
                "table": search.name,
                "row": trials.label,
                "trials": [
                    {"run": run.id, "settings": values}
                    for run, values in zip(runs, trials.values, strict=True)
                ],
                "shards": f"results/shards/{runs[0].shards}",
                "code": self.code.fingerprint("choice", "best"),
            }
        return found

    def evaluation(self, table: Table) -> Row:
        """The request of a table's evaluation: its runs, each with the fingerprint of what evaluates it."""
        runs = table.runs.values()
        code = {run.id: self.code.fingerprint("evaluate", "evaluate", words(run.settings)) for run in runs}
        return {
            "runs": [{"run": key, "code": fingerprint} for key, fingerprint in code.items()],
            "shards": sorted({f"results/shards/{run.shards}" for run in runs}),
        }
