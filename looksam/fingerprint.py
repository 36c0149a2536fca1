"""The fingerprint of the code that decides a result: the definitions it uses, less comments and docstrings.

Starting from one function, every definition of this package that it names is followed, through imports, as
text (nothing is imported or run). A table of choices, such as `ASCENTS`, counts only for the rows that the
run's settings name, so that an edited equation marks the runs stale that use it, and no others.
"""

import ast
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign

# module-level dicts from a name that may stand in a run's settings, or of a part of them, to what it chooses
CHOICES = frozenset(
    {
        "ASCENTS",
        "DESCENTS",
        "ALPHAS",
        "ARCHITECTURES",
        "ASIDES",
        "OPTIMIZERS",
        "SCHEDULES",
        "AUGMENTS",
        "LOADERS",
        "ORDERS",
        "SOURCES",
    }
)

# modules that show, write or refuse things, and decide no number
SILENT = frozenset(
    {
        "checkpoint",
        "diagnostics",
        "environment",
        "errors",
        "files",
        "how_to",
        "lease",
        "locks",
        "memory",
        "milestones",
        "owner",
        "prefetch",
        "preempt",
        "progress",
        "remote_file",
        "requests",
        "room",
        "snapshot",
        "tape",
        "verify",
        "watch",
        "workers",
    }
)


class Code:
    """The package's source, read once: `fingerprint` of a function, `choices` of a table."""

    def __init__(self, package: Path = Path(__file__).parent) -> None:
        self.modules = {path.stem: Module(path.read_text()) for path in sorted(package.glob("*.py"))}
        self._known: dict[tuple[str, str, frozenset[str]], str] = {}

    def fingerprint(self, module: str, function: str, chosen: Collection[str] = ()) -> str:
        """SHA-256 over the definitions that `function` uses; of tables of choices, rows named in `chosen`."""
        rows = frozenset(chosen) & self._rows
        key = (module, function, rows)
        if key not in self._known:
            reached = self._reach(module, function, rows)
            text = "\n".join(f"{m}.{n}\n{self._text(m, n, rows)}" for m, n in sorted(reached))
            self._known[key] = hashlib.sha256(text.encode()).hexdigest()
        return self._known[key]

    def choices(self, module: str, table: str) -> tuple[str, ...]:
        """The row names of a table of choices, such as ("ascent", "ASCENTS")."""
        return tuple(_rows_of(self.modules[module].definitions[table]))

    @cached_property
    def _rows(self) -> frozenset[str]:
        """Every row name of every table of choices."""
        tables = (d for m in self.modules.values() for n, d in m.definitions.items() if n in CHOICES)
        return frozenset(row for table in tables for row in _rows_of(table))

    def _reach(self, module: str, name: str, rows: frozenset[str]) -> set[tuple[str, str]]:
        reached: set[tuple[str, str]] = set()
        waiting = [(module, name)]
        while waiting:
            module, name = waiting.pop()
            source = self.modules[module]
            if (module, name) in reached or name not in source.definitions:
                continue
            reached.add((module, name))
            for node in self._nodes(module, name, rows):
                waiting += [found for used in _names(node) if (found := self._resolve(source, module, used))]
        return reached

    def _resolve(self, source: "Module", module: str, name: str) -> tuple[str, str] | None:
        """Where a name that is used in `module` is defined in this package."""
        if name in source.definitions:
            return module, name
        target = source.imports.get(name)
        return target if target and target[0] in self.modules.keys() - SILENT else None

    def _nodes(self, module: str, name: str, rows: frozenset[str]) -> list[ast.AST]:
        definition = self.modules[module].definitions[name]
        if name in CHOICES:
            return [value for row, value in _rows_of(definition).items() if row in rows]
        return [definition]

    def _text(self, module: str, name: str, rows: frozenset[str]) -> str:
        return "\n".join(ast.unparse(node) for node in self._nodes(module, name, rows))


@dataclass
class Module:
    """A module's definitions and imports by name, its docstrings dropped."""

    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree without docstrings."""
        tree = ast.parse(self.text)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and ast.get_docstring(node, clean=False) is not None
            ):
                node.body = node.body[1:] or [ast.Pass()]
        return tree

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """Functions, classes and assigned names of the module's top level."""
        return {
            name: node for node in self.tree.body for name in _defined(node) if isinstance(node, Definition)
        }

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Local name to (module, name there), from every `from looksam.x import y`, inside functions too."""
        found: dict[str, tuple[str, str]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("looksam"):
                module = (node.module or "").partition(".")[2]
                found |= {alias.asname or alias.name: (module, alias.name) for alias in node.names}
        return found


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _rows_of(definition: ast.AST) -> dict[str, ast.expr]:
    value = definition.value if isinstance(definition, ast.Assign | ast.AnnAssign) else None
    if not isinstance(value, ast.Dict):
        raise TypeError("a table of choices is a module-level dict literal with text keys")
    return {ast.literal_eval(key): row for key, row in zip(value.keys, value.values, strict=True) if key}
