import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from study_files import ROOT
from terminals import LOOKSAM, on_a_terminal
from tiny_runs import SETTINGS, digit_shards, requested

from looksam.cli import main

COMMANDS = (
    "shard",
    "sources",
    "verify",
    "train",
    "choose",
    "evaluate",
    "tabulate",
    "judge",
    "gather",
    "evidence",
    "report",
    "plan",
    "status",
    "tpu",
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, flags=re.MULTILINE)
    assert (end.value.code, listed) == (0, list(COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_says_what_it_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert re.search(rf"usage: looksam {command} .*\n\n\w.*\.\n", capsys.readouterr().out, flags=re.DOTALL)


@pytest.mark.parametrize("arguments", [[], ["trian", "run.json"], ["train"]])
def test_a_wrong_command_line_ends_in_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: looksam" in capsys.readouterr().err


def test_a_users_mistake_is_one_line_and_code_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [*LOOKSAM, "train", tmp_path / "run.json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"looksam train: error: no request at {tmp_path}/run.json")


def test_a_mistake_found_during_a_command_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source.json").write_text(json.dumps({"dataset": {"source": "floppy"}}))
    with pytest.raises(SystemExit) as end:
        main(["shard", str(tmp_path / "source.json")])
    assert str(end.value.code).startswith("looksam shard: error: unknown source 'floppy'; known: digits")


def test_a_core_only_installation_is_told_what_the_pipeline_needs(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    code = "import sys; sys.modules['pyarrow'] = None; from looksam.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", tmp_path / "run.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert "error: no module 'pyarrow'" in line
    assert "pip install 'looksam[pipeline]'" in line


def test_a_command_that_fails_leaves_no_copy_of_its_request(tmp_path: Path) -> None:
    folder = requested(tmp_path / "run", tmp_path / "nowhere")
    with pytest.raises(SystemExit):
        main(["train", str(folder / "run.json")])
    assert sorted(path.name for path in folder.iterdir()) == ["lease.1.json", "run.json"]


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text("{}")
    with pytest.raises(KeyError):
        main(["shard", str(tmp_path / "source.json")])


def test_off_a_terminal_training_says_plain_lines(
    tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = requested(tmp_path / "tiny.digits", shards)
    main(["train", str(folder / "run.json")])
    out, err = capsys.readouterr()
    numbers = r"loss \d+\.\d{4}, accuracy \d+\.\d%, [\d,]+ images/s, \d+ s, 0 s left\n"
    assert re.fullmatch(rf"(tiny\.digits: .*\n)*tiny\.digits: epoch 3/3, {numbers}", out)
    assert "\r" not in out + err


def test_on_a_terminal_training_draws_a_bar_with_loss_accuracy_rate_and_time_left(
    tmp_path: Path, shards: Path
) -> None:
    folder = requested(tmp_path / "tiny.digits", shards)
    drawn = on_a_terminal("train", folder / "run.json").split("\r")
    numbers = r"\d\d:\d\d<00:00, [\d.]+k? images/s, loss \d\.\d{4}, accuracy \d+\.\d%"
    assert any(re.fullmatch(rf"100%\|█+\| {numbers} tiny\.digits:? *", line) for line in drawn)


def test_a_finished_command_leaves_a_copy_of_its_request(tmp_path: Path, shards: Path) -> None:
    folder = requested(tmp_path / "run", shards, epochs=1)
    main(["train", str(folder / "run.json")])
    assert (folder / "run.made.json").read_text() == (folder / "run.json").read_text()


def test_shards_runs_and_evaluations_follow_from_their_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shards").mkdir()
    Path("shards/source.json").write_text(json.dumps({"dataset": SETTINGS["dataset"]}))
    requested(Path("runs/a"), Path("shards"), epochs=1)
    Path("table.json").write_text(json.dumps({"runs": [{"run": "a", "code": "c"}]}))
    main(["shard", "shards/source.json"])
    main(["train", "runs/a/run.json"])
    main(["evaluate", "table.json", "--runs", "runs", "--evaluations", "table.parquet"])
    assert json.loads(Path("runs/a/metrics.json").read_text())["images"] == 1733
    assert Path("table.parquet").is_file()


def test_to_read_the_command_line_starts_no_torch() -> None:
    code = "import sys, looksam.cli; looksam.cli.parser(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
