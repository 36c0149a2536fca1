import subprocess
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from looksam.environment import commit, cpu_model, determinism, environment, installed
from looksam.origins import ENVIRONMENT, device

CPU = torch.device("cpu")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    (tmp_path / "looksam").mkdir()
    (tmp_path / "looksam/a.py").write_text("a = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_the_environment_has_the_declared_fields() -> None:
    found = environment(CPU)
    assert list(found) == [field.name for field in ENVIRONMENT]
    assert pa.array([found], ENVIRONMENT).to_pylist() == [found]


def test_it_says_what_runs_here() -> None:
    found = environment(CPU, ranks=2)
    assert (found["torch"], found["timm"]) == (torch.__version__, version("timm"))
    assert (found["ranks"], found["threads"]) == (2, torch.get_num_threads())
    assert found["device"]


def test_a_cpu_is_named_by_its_model(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2.1GHz \nmodel name\t: Other\n")
    assert cpu_model(cpuinfo) == "Some CPU @ 2.1GHz"


def test_a_cpu_that_has_no_name_has_an_instruction_set(tmp_path: Path) -> None:
    assert cpu_model(tmp_path / "absent")


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert installed("no-such-package-at-all") is None


def test_a_checkout_is_known_by_its_commit(checkout: Path) -> None:
    assert commit(checkout) == git(checkout, "rev-parse", "--short=12", "HEAD")


def test_a_changed_package_is_told(checkout: Path) -> None:
    (checkout / "looksam/a.py").write_text("a = 2\n")
    assert str(commit(checkout)).endswith("+changes")


def test_a_new_module_is_a_change(checkout: Path) -> None:
    (checkout / "looksam/b.py").write_text("")
    assert str(commit(checkout)).endswith("+changes")


def test_a_change_elsewhere_is_none(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("")
    assert not str(commit(checkout)).endswith("+changes")


def test_a_package_within_somebody_elses_checkout_has_no_commit(checkout: Path) -> None:
    assert commit(checkout / "looksam") is None


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit(checkout) is None


def test_a_checkout_that_git_refuses_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert commit(tmp_path) is None


def test_a_cpu_is_bitwise_the_same_again() -> None:
    assert determinism(CPU, ranks=2) == "bitwise on this device"


def test_cuda_is_so_with_deterministic_algorithms_alone() -> None:
    cuda = torch.device("cuda")
    assert determinism(cuda, 1) == "not bitwise: CUDA without torch.use_deterministic_algorithms"
    torch.use_deterministic_algorithms(True)
    try:
        assert determinism(cuda, 1) == "bitwise on this device"
        assert determinism(cuda, 2).startswith("not bitwise: the order in which ranks are added")
    finally:
        torch.use_deterministic_algorithms(False)


def test_of_an_untried_device_nothing_is_claimed() -> None:
    assert determinism(torch.device("mps"), 1) == "unknown: never tried on mps"


def test_a_device_is_shown_with_ranks_and_where_they_count_threads() -> None:
    assert device(environment(CPU) | {"device": "X", "threads": 2, "ranks": 2}) == "2 × X, 2 threads"
    assert device(environment(CPU) | {"device": "X", "type": "cuda", "ranks": 8}) == "8 × X"
