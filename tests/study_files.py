"""The files that a study is made of, copied into a test's own folder, where it may edit them."""

import ast
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from looksam.config import read_yaml
from looksam.study import Study

ROOT = Path(__file__).parents[1]


def copied(folder: Path) -> Path:
    """The folder, with config/, workflow/schemas/ and the package's modules in it."""
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "workflow/schemas", folder / "workflow/schemas")
    (folder / "looksam").mkdir()
    for module in (ROOT / "looksam").glob("*.py"):
        shutil.copy(module, folder / "looksam")
    return folder


def checkout(folder: Path) -> Path:
    """A copy of the files that git knows or does not ignore."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let `change` work on the mapping in a YAML file."""
    content = read_yaml(path)
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def replace(path: Path, old: str, new: str) -> None:
    """Put `new` for every `old` in a text file that has it."""
    text = path.read_text()
    assert old in text, f"{path} has no {old!r} any more; the test must be adapted"
    path.write_text(text.replace(old, new))


def alter(module: Path, function: str) -> None:
    """Add to the module's function a statement that means nothing and is no comment."""
    text = module.read_text()
    (definition,) = [n for n in ast.parse(text).body if getattr(n, "name", None) == function]
    assert isinstance(definition, ast.FunctionDef)
    last = definition.body[-1]
    lines = text.splitlines(keepends=True)
    lines.insert(last.lineno - 1, " " * last.col_offset + "assert True\n")
    module.write_text("".join(lines))


def study(root: Path = ROOT, **chosen: Any) -> Study:
    """The study that config.yaml describes, with what is `chosen` laid over it."""
    return Study(read_yaml(root / "config/config.yaml") | chosen, root)
