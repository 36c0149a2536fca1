"""Facts about what `looksam verify` finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_trees import sharded, tree

from looksam.cli import main
from looksam.detect import list_source
from looksam.verify import problems


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return sharded(list_source(str(tree(tmp_path / "photos"))), tmp_path / "out")


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "index.parquet").to_pylist()
    return found


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def reindex(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    changed = rows(folder)
    change(changed)
    schema = pq.read_schema(folder / "index.parquet")
    pq.write_table(pa.Table.from_pylist(changed, schema), folder / "index.parquet")


def test_whole_shards_have_no_problems(shards: Path) -> None:
    assert list(problems(shards)) == []


def test_a_changed_image_is_named(shards: Path) -> None:
    row = rows(shards)[3]
    overwrite(shards / row["shard"], row["offset"] + 9, b"?")
    told = f"{row['shard']}: the image of sample {row['key']} has not the SHA-256 of the index"
    assert list(problems(shards)) == [told]


def test_a_changed_label_is_named(shards: Path) -> None:
    row = rows(shards)[3]
    padded = -(-row["size"] // 512) * 512
    overwrite(shards / row["shard"], row["offset"] + padded + 512, b"7")
    told = f"the label of sample {row['key']} is not {row['label']}, as the index says"
    assert list(problems(shards)) == [f"{row['shard']}: {told}"]


def test_a_label_of_the_index_that_was_changed_is_named(shards: Path) -> None:
    reindex(shards, lambda index: index[0].update(label=9))
    assert [line.partition(": ")[2][:9] for line in problems(shards)] == ["the label", "label 9 o"]


def test_a_renamed_member_is_named(shards: Path) -> None:
    row = rows(shards)[0]
    overwrite(shards / row["shard"], row["offset"] - 512, b"x")
    assert list(problems(shards)) == [
        f"{row['shard']}: the header of sample {row['key']} is not what was written"
    ]


def test_a_shard_that_was_cut_short_is_named(shards: Path) -> None:
    row = rows(shards)[5]
    with (shards / row["shard"]).open("r+b") as file:
        file.truncate(row["offset"] + 10)
    assert f"{row['shard']}: cut short in sample {row['key']}" in list(problems(shards))


def test_what_follows_the_last_sample_is_named(shards: Path) -> None:
    with (shards / "train-000000.tar").open("ab") as file:
        file.write(b"more")
    told = "more or less follows the last sample than the end of a tar"
    assert list(problems(shards)) == [f"train-000000.tar: {told}"]


def test_missing_and_surplus_shards_are_named(shards: Path) -> None:
    (shards / "train-000001.tar").rename(shards / "extra.tar")
    assert list(problems(shards)) == ["train-000001.tar is missing", "extra.tar is not in the index"]


def test_a_row_that_is_missing_from_the_index_is_named(shards: Path) -> None:
    reindex(shards, lambda index: index.pop(2))
    assert "train-000000.tar: 6 samples by _info.json, 5 by the index" in list(problems(shards))


def test_a_key_that_occurs_twice_is_named(shards: Path) -> None:
    reindex(shards, lambda index: index.append(index[0]))
    key = rows(shards)[0]["key"]
    assert f"train-000000.tar: key {key} occurs twice" in list(problems(shards))


def test_a_damaged_index_is_named(shards: Path) -> None:
    (shards / "index.parquet").write_bytes(b"PAR1")
    (line,) = problems(shards)
    assert line.startswith("index.parquet is damaged")


def test_the_command_names_what_is_wrong_and_ends_in_code_1(
    shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["verify", str(shards)])
    assert capsys.readouterr().out == f"{shards}: all as the index says\n"
    (shards / "train-000001.tar").unlink()
    with pytest.raises(SystemExit, match="1 things are wrong in"):
        main(["verify", str(shards)])
    assert capsys.readouterr().out == "train-000001.tar is missing\n"


def test_a_folder_without_an_index_is_no_finished_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no finished shards to verify"):
        main(["verify", str(tmp_path)])
