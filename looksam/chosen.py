"""How the learning rate, rho and alpha of a table's runs were chosen, in the words of its caption."""

from collections.abc import Iterable, Mapping
from typing import Any

from looksam.axes import varied
from looksam.cells import Table
from looksam.searches import Search
from looksam.settings import Resolver

NAMES = {"peak_lr": "learning rate", "rho": "rho", "alpha": "alpha"}
# what a row of a search is of, where its setting has another name
WORDS = {"model": "network"}


def how_chosen(table: Table, resolver: Resolver, paper: Resolver, search: Search | None) -> str:
    """The sentence on the choice of what the table does not vary itself. search: the one that serves it.

    paper: resolves the settings of the paper's own runs.
    """
    if "search" in table.spec:
        return trials_told(table.spec["search"])
    if search:
        return searched_told(table, search)
    names = [name for key, name in NAMES.items() if key not in varied(table.spec)]
    recipe = resolver.config.recipes[table.spec["runs"]["recipe"]]
    origin = recipe.get("origin", "the recipe's own, not searched")
    if any(overruled(table, paper)):
        origin = f"those of scale {resolver.scale_name} where it has any, else of the recipe; not searched"
    return f"{listed(names).capitalize()}: {origin}."


def trials_told(asked: Mapping[str, Any]) -> str:
    """What a search does."""
    return (
        f"Every row has {asked['trials']} trials of one training each, and a trial's values are the same for "
        f"all rows that use them. {asked['validation_images']:,} training images, on which no trial trains, "
        "judge them; no test image does. The best of a row, of equals the first, is marked as chosen."
    )


def searched_told(table: Table, search: Search) -> str:
    """What a search chose for a table."""
    asked = search.spec["search"]
    taken = {key for run in table.runs.values() for key in run.settings.get("chosen", {}).get("settings", ())}
    names = [NAMES[key] for key in asked["space"] if key in taken]
    rows = sorted(search.varied, key=lambda key: (key == "method", key != "model"))
    each = listed([WORDS.get(key, key.replace("_", " ")) for key in rows])
    told = (
        f"{listed(names).capitalize()}: chosen by {search.name}, for each {each} the best of "
        f"{asked['trials']} trials on {asked['validation_images']:,} training images held out of it"
    )
    borrowed = dict.fromkeys(
        (label(search, method), label(search, search.row(cell.coordinates, table.name).method))
        for cell in table.cells
        if cell.runs and (method := cell.coordinates["method"])
    )
    takes: dict[str, list[str]] = {}
    for method, lender in borrowed:
        if method != lender:
            takes.setdefault(lender, []).append(method)
    loans = [
        f"{listed(methods)} take{'s' * (len(methods) == 1)} {lender}'s" for lender, methods in takes.items()
    ]
    return "; ".join([told, *loans]) + "."


def overruled(table: Table, paper: Resolver) -> Iterable[bool]:
    """Of each cell's run, whether the scale gives it another value than the recipe."""
    for cell in table.cells:
        for run in cell.runs[:1]:
            found = paper.found(cell.coordinates, table.name)
            own = run.settings | run.settings["method"]
            yield any(key in own and own[key] != found.get(key) for key in NAMES)


def label(search: Search, method: str) -> str:
    """A method's name in the report."""
    named = str(search.resolver.config.methods[method].get("label", method))
    return named.replace("{optimizer}", "the base optimizer")


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
