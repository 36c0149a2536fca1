import os
import shutil
import subprocess
from pathlib import Path

import pytest
from study_files import ROOT

SAYS_ITS_ARGUMENTS = """#!/bin/sh
echo "$@" > asked
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout that is set up, whose snakemake writes what it is asked."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/pipeline").touch()
    os.utime(tmp_path / "pyproject.toml", (0, 0))
    (tmp_path / ".venv/bin/snakemake").write_text(SAYS_ITS_ARGUMENTS)
    (tmp_path / ".venv/bin/snakemake").chmod(0o755)
    (tmp_path / "package").mkdir()
    return tmp_path


def make(folder: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    """`make evidence` in the folder, where the Debian package's images would be in package/."""
    command = ["make", "evidence", f"FASHION_PACKAGE={folder / 'package'}", *asked]
    # These tests are run by make themselves: one that knows it runs inside another talks more.
    outside = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    return subprocess.run(command, cwd=folder, env=outside, capture_output=True, text=True, check=False)


def asked(folder: Path) -> str:
    return (folder / "asked").read_text()


def test_the_packages_folder_is_linked_where_none_is(folder: Path) -> None:
    assert make(folder).returncode == 0
    assert (folder / "data/fashion-mnist").readlink() == folder / "package"


def test_a_link_that_leads_nowhere_is_made_anew(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data/fashion-mnist").symlink_to(folder / "gone")
    make(folder)
    assert (folder / "data/fashion-mnist").readlink() == folder / "package"


def test_a_folder_that_is_there_stays(folder: Path) -> None:
    (folder / "data/fashion-mnist").mkdir(parents=True)
    assert make(folder).returncode == 0
    assert not (folder / "data/fashion-mnist").is_symlink()


def test_without_the_data_it_says_how_to_get_them_and_starts_nothing(folder: Path) -> None:
    (folder / "package").rmdir()
    made = make(folder)
    assert made.returncode != 0
    assert made.stdout.startswith(
        "No Fashion-MNIST in data/fashion-mnist: apt-get install dataset-fashion-mnist, or put its four IDX "
    )
    assert not (folder / "asked").exists()


@pytest.mark.parametrize(
    ("reading", "config"),
    [
        ((), "config/evidence-first.yaml"),
        (("READING=first",), "config/evidence-first.yaml"),
        (("READING=full",), "config/evidence.yaml"),
    ],
)
def test_a_reading_is_laid_over_the_config(folder: Path, reading: tuple[str, ...], config: str) -> None:
    make(folder, *reading)
    assert asked(folder).endswith(f"--configfile {config} -- reports/all_tables.html\n")


def test_an_unknown_reading_is_told_with_the_known_ones(folder: Path) -> None:
    made = make(folder, "READING=ful")
    assert (made.returncode != 0, made.stdout) == (True, "unknown READING 'ful'; known: first, full\n")


def test_it_says_where_the_report_is_and_how_to_go_on(folder: Path) -> None:
    said = make(folder, "READING=full").stdout
    assert f"The report: {folder}/reports/all_tables.html" in said
    assert "the same command goes on from there: make evidence READING=full" in said


LOCKED = """#!/bin/sh
mkdir -p .snakemake/locks
touch .snakemake/locks/$LOCK
exit 1
"""


@pytest.mark.parametrize(("lock", "is_told"), [("0.input.lock", True), ("", False)])
def test_a_lock_that_a_killed_study_left_is_told_with_what_removes_it(
    folder: Path, lock: str, is_told: bool
) -> None:
    (folder / ".venv/bin/snakemake").write_text(LOCKED.replace("$LOCK", lock))
    made = make(folder)
    assert made.returncode != 0
    assert (".venv/bin/snakemake --unlock, and the same command goes on" in made.stdout) is is_told
