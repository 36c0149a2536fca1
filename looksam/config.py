"""The config's files, read and checked: methods, models, data sets, recipes, scales, tables."""

import csv
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from looksam.asked import asked_about
from looksam.errors import UserError

Row = dict[str, Any]

# what a row of config/published.csv must say; its other columns are settings, for matching cells
PUBLISHED = ("table", "metric", "value", "status", "note")


@dataclass(frozen=True)
class Config:
    """All of config/ that the chosen tables need; names inside it are checked where they are used.

    tables: the chosen ones, then the searches that the scale has for them.
    """

    root: Path
    chosen: Row
    methods: dict[str, Row]
    models: dict[str, Row]
    datasets: dict[str, Row]
    recipes: dict[str, Row]
    scales: dict[str, Row]
    tables: dict[str, Row]
    published: list[dict[str, str]]
    claims: Row
    schema: Row


def load_config(chosen: Mapping[str, Any], root: Path = Path()) -> Config:
    """The config for what config.yaml has `chosen`; UserError where a file or a name is wrong."""
    schema = yaml.safe_load((root / "workflow/schemas/config.schema.yaml").read_text())
    every_table = sorted(path.stem for path in (root / "config/tables").glob("*.yaml"))

    def read(path: str, kind: str) -> Row:
        content = read_yaml(root / "config" / path)
        check(content, kind, schema, f"config/{path}")
        return content

    def read_named(folder: str, kind: str, names: Iterable[str], where: str) -> dict[str, Row]:
        known = sorted(path.stem for path in (root / "config" / folder).glob("*.yaml"))
        return {one_of(name, kind, known, where): read(f"{folder}/{name}.yaml", kind) for name in names}

    def read_scale(name: str) -> Row:
        scale = read_named("scales", "scale", [name], "config/config.yaml")[name]
        for table in scale.get("tables", {}):
            one_of(table, "table", every_table, f"config/scales/{name}.yaml")
        for table, search in scale.get("searches", {}).items():
            one_of(table, "table", every_table, f"config/scales/{name}.yaml")
            one_of(search, "table", every_table, f"config/scales/{name}.yaml")
        return scale

    check(dict(chosen), "config", schema, "config/config.yaml")
    # facts such as Table 10's are read off the settings at the paper's scale, whatever scale runs
    scales = {name: read_scale(name) for name in dict.fromkeys([chosen["scale"], "paper"])}
    searches = scales[chosen["scale"]].get("searches", {})
    names = dict.fromkeys([*chosen["tables"], *(searches[t] for t in chosen["tables"] if t in searches)])
    tables = read_named("tables", "table", names, "config/config.yaml")
    for table, search in searches.items():
        if search in tables and "search" not in tables[search]:
            where = f"config/scales/{chosen['scale']}.yaml: searches.{table}"
            raise UserError(f"{where}: {search} is no search: config/tables/{search}.yaml has no key search")
    claims = read("claims.yaml", "claims")
    methods = read("methods.yaml", "methods")
    for name in (*sorted(claimed(claims)), *claims["evidence"]["tables"], *claims["evidence"]["map"]):
        one_of(name, "table", every_table, "config/claims.yaml")
    for name in asked_about(claims["evidence"]):
        one_of(name, "method", methods, "config/claims.yaml")
    recipes = {t["runs"]["recipe"]: f"config/tables/{name}.yaml" for name, t in tables.items() if "runs" in t}
    return Config(
        root=root,
        chosen=dict(chosen),
        methods=methods,
        models=read("models.yaml", "models"),
        datasets=read("datasets.yaml", "datasets"),
        recipes={
            name: read_named("recipes", "recipe", [name], where)[name] for name, where in recipes.items()
        },
        scales=scales,
        tables=tables,
        published=read_published(root / "config/published.csv"),
        claims=claims,
        schema=schema,
    )


def read_published(path: Path) -> list[dict[str, str]]:
    """The rows of published.csv."""
    try:
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            names, content = rows.fieldnames or [], list(rows)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it holds the paper's numbers") from None
    missing = [name for name in PUBLISHED if name not in names]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; needed: {', '.join(PUBLISHED)}")
    return content


def claimed(claims: Row) -> set[str]:
    """The tables that the paper's claims, and the answer to the study's question, rest on."""
    parts = [part for claim in claims["claims"].values() for part in claim["parts"]]
    rest_on = [*parts, {"tables": claims["answer"]["accuracy"] + claims["answer"]["time"]}]
    return {name for part in rest_on for name in part["tables"]}


def one_of(name: str, kind: str, known: Collection[str], where: str) -> str:
    """`name`, where it is known; else a UserError that names the file, what was got and what is known."""
    if name not in known:
        raise UserError(f"{where}: unknown {kind} {name!r}; known: {', '.join(known)}")
    return name


def plain(recipe: Row) -> Row:
    """The recipe's plain settings, which its cases may change."""
    return {key: value for key, value in recipe.items() if key not in ("cases", "origin")}


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key written twice is an error and not a silent last word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A dict of the node, every key once."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


# YAML 1.1 takes 1e-3 for text; people, and YAML 1.2, for a number
UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _finite(loader: UniqueKeys, node: yaml.ScalarNode) -> float:
    number: float = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, "a number must be finite", node.start_mark)
    return number


UniqueKeys.add_constructor("tag:yaml.org,2002:float", _finite)


def read_yaml(path: Path) -> Row:
    """The mapping in a YAML file."""
    try:
        content = yaml.load(path.read_text(), UniqueKeys)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the config needs it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a mapping of keys to values is wanted, got {content!r:.60}")
    return content


def check(content: Row, kind: str, schema: Row, where: str) -> None:
    """UserError naming file, key, what was got and what is allowed, unless `content` is a valid `kind`."""
    validator = Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})
    error = best_match(validator.iter_errors(content))
    if error is not None:
        key = ".".join(str(part) for part in error.absolute_path)
        raise UserError(f"{where}: {key + ': ' if key else ''}{_explained(error, content, schema)}")


def _explained(error: ValidationError, content: Row, schema: Row) -> str:
    wanted: Any = error.validator_value
    allowed: Any = error.schema
    if error.validator == "required":
        return f"{error.message}; needed: {', '.join(str(key) for key in wanted)}"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        return _unknown_keys(error.instance, allowed.get("properties", {}))
    if error.validator == "unevaluatedProperties" and isinstance(error.instance, dict):
        known = schema["$defs"]["settings"]["properties"] | allowed.get("properties", {})
        return _unknown_keys(error.instance, known)
    return str(error.message)


def _unknown_keys(got: Row, known: Collection[str]) -> str:
    unknown = ", ".join(repr(key) for key in got if key not in known)
    return f"unknown key {unknown}; known: {', '.join(known)}"
