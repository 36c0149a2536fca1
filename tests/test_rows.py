"""Facts about the index by columns, and the bytes it points at."""

import pickle
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_shards import write_shards
from tiny_runs import digit_shards

from looksam.draws import order
from looksam.errors import UserError
from looksam.index import INDEX
from looksam.rows import OPEN_SHARDS, Rows, read_index
from looksam.sample import Sample, png

FILES = [png(np.full((6, 8), i, np.uint8)) for i in range(5)]
IMAGENET = 1_281_167


def write(out: Path) -> Path:
    """Shards of five training images, two a shard, and one test image."""
    samples = [Sample("train", f"a{i}", content, "png", i) for i, content in enumerate(FILES)]
    return write_shards([*samples, Sample("test", "b0", FILES[0], "png", 0)], out, 2)


def test_shards_that_do_not_exist_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index.parquet does not exist.*looksam shard .*source.json"):
        read_index(tmp_path / "gone", "train")


def test_a_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "index.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"index.parquet is damaged.*delete .* and run snakemake again"):
        read_index(tmp_path, "train").content(2)


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lists no validation images"):
        read_index(write(tmp_path), "validation")


def test_a_shard_cut_short_is_named_with_its_sample(tmp_path: Path) -> None:
    path = write(tmp_path) / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:540])
    with pytest.raises(
        UserError, match=r"train-000001.tar was cut short.*sample a2.*delete .* run snakemake again"
    ):
        read_index(tmp_path, "train").content(2)


def test_a_shard_with_one_changed_bit_is_named_with_its_sample(tmp_path: Path) -> None:
    path = write(tmp_path) / "train-000001.tar"
    content = bytearray(path.read_bytes())
    content[530] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train-000001.tar was changed.*sample a2"):
        read_index(tmp_path, "train").content(2)


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "train-000001.tar").unlink()
    with pytest.raises(UserError, match=r"train-000001.tar is missing; delete .* and run snakemake again"):
        read_index(tmp_path, "train").content(2)


def test_any_sample_is_had_in_any_order(tmp_path: Path) -> None:
    rows = read_index(write(tmp_path), "train")
    assert [rows.content(i) for i in (4, 0, 3, 0)] == [FILES[i] for i in (4, 0, 3, 0)]


def test_labels_and_keys_are_those_of_the_index(tmp_path: Path) -> None:
    rows = read_index(write(tmp_path), "train")
    assert rows.labels.tolist() == [0, 1, 2, 3, 4]
    assert rows.keys() == ["a0", "a1", "a2", "a3", "a4"]
    assert rows.keys([3, 1]) == ["a3", "a1"]


def test_held_out_samples_keep_their_bytes_and_keys(tmp_path: Path) -> None:
    rows = read_index(write(tmp_path), "validation", 2)
    for i, (key, label) in enumerate(zip(rows.keys(), rows.labels, strict=True)):
        assert (key, rows.content(i)) == (f"a{label}", FILES[label])


def test_more_shards_than_may_be_open_can_be_read(tmp_path: Path) -> None:
    files = [png(np.full((1, 3), (i // 99, i % 99, 0), np.uint8)) for i in range(OPEN_SHARDS + 5)]
    samples = [Sample("train", f"a{i}", content, "png", 0) for i, content in enumerate(files)]
    rows = read_index(write_shards(samples, tmp_path, 1), "train")
    assert [rows.content(i) for i in range(len(rows))] == files
    assert rows.content(0) == files[0]


def test_another_process_gets_the_same_rows(tmp_path: Path) -> None:
    rows: Rows = pickle.loads(pickle.dumps(read_index(write(tmp_path), "train")))
    assert rows.content(4) == FILES[4]
    assert rows.keys() == ["a0", "a1", "a2", "a3", "a4"]


def test_the_index_of_imagenet_is_read_and_its_epoch_planned_in_seconds_and_two_gigabytes(
    tmp_path: Path,
) -> None:
    n = IMAGENET
    random = np.random.default_rng(0)
    columns = {
        "split": pa.array(["train"]).take(pa.array(np.zeros(n, np.int64))),
        "shard": pa.array([f"train-{i:06d}.tar" for i in range(257)]).take(pa.array(np.arange(n) // 5000)),
        "offset": np.arange(n),
        "size": np.full(n, 110_000),
        "key": [f"train-{i:07d}-n01440764-10026" for i in range(n)],
        "label": np.arange(n) % 1000,
        "sha256": [random.bytes(32).hex() for _ in range(n)],
    }
    kept = pa.schema([INDEX.field(name) for name in columns])
    pq.write_table(pa.table(columns, kept), tmp_path / "index.parquet")
    del columns
    before = resource.getrusage(resource.RUSAGE_SELF)
    rows = read_index(tmp_path, "train", 10_000)
    assert len(order(0, 7, len(rows))) == n - 10_000
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    assert (after.ru_maxrss - before.ru_maxrss) * 1024 < 2e9
    assert rows.samples.nbytes < 100e6


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


def test_each_split_has_its_own_samples(digits: Path) -> None:
    assert (len(read_index(digits, "train")), len(read_index(digits, "test"))) == (64, 100)
