"""Facts about shardings that are killed, stopped, or met by a full disk, a bad source or a second command."""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from image_trees import jpeg, sharded, tree
from killed_shardings import hashes
from study_files import ROOT
from terminals import LOOKSAM, on_a_terminal

from looksam.detect import list_source
from looksam.errors import UserError
from looksam.sharding import Options
from looksam.verify import problems

TWO_EACH = Options(per_shard=2)
IN_THREADS = TWO_EACH._replace(workers=3)


def shard(source: Path, out: Path, *options: str) -> list[str | Path]:
    """The command that shards, two images a shard, in two threads."""
    return [*LOOKSAM, "shard", source, out, "--per-shard", "2", "--workers", "2", *options]


def run(command: list[str | Path]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def started(source: Path, out: Path) -> "subprocess.Popen[str]":
    """A sharding in a process of its own that has finished its first shards."""
    process = subprocess.Popen(shard(source, out), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while len(list(out.glob("parts/*.parquet"))) < 3:
        assert process.poll() is None
        time.sleep(0.005)
    return process


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tree(tmp_path / "photos")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as take a second or more."""
    return tree(tmp_path_factory.mktemp("many") / "photos", train=1000)


@pytest.fixture(scope="module")
def undisturbed(many: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return hashes(sharded(list_source(str(many)), tmp_path_factory.mktemp("whole") / "out", TWO_EACH))


def test_whatever_change_of_the_disk_kills_a_sharding_it_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    source = tree(tmp_path / "photos", train=8, val=2)
    done = run([sys.executable, ROOT / "tests/killed_shardings.py", source, tmp_path / "killed"])
    assert (done.returncode, done.stderr) == (0, "")
    # three shards of five changes each and the files in the end
    assert int(done.stdout) > 3 * 5 + 5


@pytest.mark.parametrize("seed", range(3))
def test_a_sharding_that_is_killed_at_random_goes_on_to_the_same_bits(
    many: Path, undisturbed: dict[str, str], tmp_path: Path, seed: int
) -> None:
    process = started(many, tmp_path / "out")
    time.sleep(random.Random(seed).uniform(0, 0.5))
    process.kill()
    process.communicate()
    assert not (tmp_path / "out/index.parquet").exists() or hashes(tmp_path / "out") == undisturbed
    assert run(shard(many, tmp_path / "out")).returncode == 0
    assert hashes(tmp_path / "out") == undisturbed


def test_a_sharding_that_was_killed_is_not_taken_for_whole(many: Path, tmp_path: Path) -> None:
    process = started(many, tmp_path / "out")
    process.kill()
    process.communicate()
    with pytest.raises(UserError, match=r"no finished shards to verify; run looksam shard"):
        list(problems(tmp_path / "out"))


def test_ctrl_c_ends_a_sharding_in_one_line_and_the_next_goes_on(
    many: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    process = started(many, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "looksam shard: interrupted\n")
    left = [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tar")}
    assert (left, len(kept) >= 3) == ([], True)
    assert run(shard(many, tmp_path / "out")).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert hashes(tmp_path / "out") == undisturbed


def test_a_second_command_is_refused_and_the_first_unharmed(
    many: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    first = started(many, tmp_path / "out")
    second = run(shard(many, tmp_path / "out"))
    assert first.wait() == 0
    assert second.returncode == 1
    assert f"another looksam shard is writing to {tmp_path}/out; wait until it has ended" in second.stderr
    assert hashes(tmp_path / "out") == undisturbed


FULL_DISK = """
mount -t tmpfs -o size=200k tmpfs "$OUT"
"$@" && exit 3
ls -A "$OUT" | grep '^\\.' && exit 4
mount -o remount,size=20m "$OUT"
"$@" || exit 5
cp -r "$OUT/." "$COPY"
"""


def test_a_full_disk_is_said_and_once_there_is_space_the_next_goes_on(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    alone = ["unshare", "--mount", "--map-root-user"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone, "mount", "-t", "tmpfs", "x", tmp_path / "out"]).returncode
    ):
        pytest.skip("needs Linux's unshare and leave to mount")
    whole = hashes(sharded(list_source(str(photos)), tmp_path / "whole", TWO_EACH))
    # 26 images and what tars add to them take some 250 kB
    assert sum(path.stat().st_size for path in (tmp_path / "whole").glob("*.tar")) > 130_000
    done = subprocess.run(
        [*alone, "sh", "-c", FULL_DISK, "sh", *shard(photos, tmp_path / "out")],
        cwd=ROOT,
        env=os.environ | {"OUT": str(tmp_path / "out"), "COPY": str(tmp_path / "copy")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert hashes(tmp_path / "copy") == whole


def test_a_source_that_cannot_be_read_is_named_by_one_of_many_threads(photos: Path, tmp_path: Path) -> None:
    listing = list_source(str(photos))
    bad = photos / "train/n0001/train.9.JPEG"
    content, facts = bad.read_bytes(), bad.stat()
    bad.unlink()
    bad.mkdir()
    with pytest.raises(UserError, match=r"cannot read train/n0001/train\.9\.JPEG .* run the same command"):
        sharded(listing, tmp_path / "out", IN_THREADS)
    assert not (tmp_path / "out/index.parquet").exists()
    assert not list((tmp_path / "out").glob(".*"))
    bad.rmdir()
    bad.write_bytes(content)
    os.utime(bad, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    whole = hashes(sharded(list_source(str(photos)), tmp_path / "whole", IN_THREADS))
    assert hashes(sharded(list_source(str(photos)), tmp_path / "out", IN_THREADS)) == whole


def imagenet_train(path: Path) -> Path:
    """The folder of ILSVRC2012's train tar with 20 images of two classes."""
    tree(path / "tree")
    path.mkdir(exist_ok=True)
    with tarfile.open(path / "ILSVRC2012_img_train.tar", "w") as outer:
        for folder in sorted((path / "tree/train").iterdir()):
            with tarfile.open(path / f"{folder.name}.tar", "w") as inner:
                for image in sorted(folder.iterdir()):
                    inner.add(image, image.name)
            outer.add(path / f"{folder.name}.tar", f"{folder.name}.tar")
    return path


def test_threads_that_share_a_tar_do_not_mix_its_images(tmp_path: Path) -> None:
    listing = list_source(str(imagenet_train(tmp_path / "source")))
    one = hashes(sharded(listing, tmp_path / "one", TWO_EACH))
    assert hashes(sharded(listing, tmp_path / "many", TWO_EACH._replace(workers=8))) == one


def test_a_tar_that_is_cut_after_it_was_listed_is_no_broken_image(tmp_path: Path) -> None:
    source = imagenet_train(tmp_path / "source")
    listing = list_source(str(source))
    os.truncate(source / "ILSVRC2012_img_train.tar", 12_000)
    with pytest.raises(UserError, match=r"cannot read .* in .*train\.tar .*bytes before the image does"):
        sharded(listing, tmp_path / "out", IN_THREADS._replace(broken_share=1))


def test_a_source_that_changes_between_two_runs_gives_what_it_is_then(photos: Path, tmp_path: Path) -> None:
    sharded(list_source(str(photos)), tmp_path / "out", TWO_EACH)
    (photos / "train/n0000/train.4.JPEG").unlink()
    (photos / "train/n0001/new.JPEG").write_bytes(jpeg(500))
    (photos / "val/n0001/val.3.JPEG").write_bytes(jpeg(501))
    listing = list_source(str(photos))
    fresh = hashes(sharded(listing, tmp_path / "fresh", TWO_EACH))
    assert hashes(sharded(listing, tmp_path / "out", TWO_EACH)) == fresh


@pytest.mark.parametrize("content", [jpeg(502, (64, 64)), jpeg(503, (1, 1))], ids=["longer", "shorter"])
def test_an_image_that_changes_after_it_was_listed_is_read_whole_and_again_by_the_next_run(
    photos: Path, tmp_path: Path, content: bytes
) -> None:
    listing = list_source(str(photos))
    (photos / "train/n0000/train.4.JPEG").write_bytes(content)
    sharded(listing, tmp_path / "out", TWO_EACH)
    assert list(problems(tmp_path / "out")) == []
    fresh = hashes(sharded(list_source(str(photos)), tmp_path / "fresh", TWO_EACH))
    assert hashes(sharded(list_source(str(photos)), tmp_path / "out", TWO_EACH)) == fresh


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG file of grey pixels that says it is so large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def peak(command: list[str | Path]) -> float:
    """The most megabytes that a command has resident."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def test_images_that_are_huge_or_say_so_take_no_memory(photos: Path, tmp_path: Path) -> None:
    plain = peak(shard(photos, tmp_path / "plain", "--decode"))
    folder = photos / "train/n0000"
    (folder / "grey.png").write_bytes(png(50_000, 50_000, bytes(50_001)))
    large = bytearray(jpeg(9))
    at = large.index(b"\xff\xc0") + 5
    large[at : at + 4] = struct.pack(">HH", 50_000, 50_000)
    (folder / "photo.jpg").write_bytes(large)
    # 200 MB of pixels in 200 kB, of an image that says it has one
    (folder / "bomb.png").write_bytes(png(1, 1, bytes(2 * 10**8)))
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(2**33)
    more = peak(shard(photos, tmp_path / "out", "--decode", "--broken-share", "0.5"))
    # what a run takes differs by some megabytes; a gigabyte of pixels or of file would be far more
    assert more < plain + 100
    reasons = pq.read_table(tmp_path / "out/quarantine.parquet").to_pylist()
    told = {Path(row["source"]).name: row["reason"] for row in reasons}
    assert told["grey.png"] == told["photo.jpg"] == "50000 x 50000 pixels, more than 100,000,000"
    assert told["sparse.jpg"] == "8,589,934,592 bytes, more than 268,435,456"


def test_a_terminal_shows_a_bar(photos: Path, tmp_path: Path) -> None:
    shown = on_a_terminal("shard", photos, tmp_path / "out", "--per-shard", "2", "--workers", "2")
    assert "sharding: 100%" in shown
    assert "26.0/26.0" in shown


def test_nothing_but_the_end_is_said_where_there_is_no_terminal(photos: Path, tmp_path: Path) -> None:
    done = run(shard(photos, tmp_path / "out"))
    assert (done.stdout, done.stderr) == (f"{tmp_path}/out: finished\n", "")
