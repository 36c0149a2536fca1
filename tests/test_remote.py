"""Facts about samples that come from a server: verified, whole, and told apart when they are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from photo_runs import PHOTOS, photo_shards
from shard_servers import Server, served

import looksam.remote_file
from looksam.errors import UserError
from looksam.fetch import fetch_index
from looksam.images import Photographs
from looksam.remote import Remote, streamed
from looksam.remote_file import RemoteFile, joined, whole
from looksam.rows import read_index

SHARD = "train-000001.tar"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_shards(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def server(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(looksam.remote_file, "WAITS", (0, 0, 0))
    with served(shards) as found:
        yield found


def remote(server: Server, split: str = "train") -> Remote:
    return Remote(read_index(server.folder, split), server.url)


def contents(server: Server, positions: list[int] | None = None) -> list[bytearray]:
    samples = remote(server)
    return list(samples.contents(range(len(samples)) if positions is None else positions))


def expected(server: Server, positions: list[int] | None = None) -> list[bytearray]:
    rows = read_index(server.folder, "train")
    return list(rows.contents(range(len(rows)) if positions is None else positions))


def test_a_split_is_the_one_of_the_folder_by_one_request_a_shard(server: Server) -> None:
    assert contents(server) == expected(server)
    assert server.requests == [(f"train-{number:06d}.tar", 0) for number in range(5)]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_any_images_come_in_any_order(server: Server, knows_ranges: bool) -> None:
    server.knows_ranges = knows_ranges
    positions = [40, 3, 17, 16, 49, 0, 17]
    assert contents(server, positions) == expected(server, positions)


def test_images_far_apart_in_a_shard_are_asked_for_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looksam.remote_file, "PASSED_OVER", 1000)
    assert contents(server, [13, 22]) == expected(server, [13, 22])
    assert [name for name, _ in server.requests] == [SHARD, SHARD]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_connection_that_breaks_in_a_shard_is_taken_up_again(server: Server, knows_ranges: bool) -> None:
    server.knows_ranges = knows_ranges
    server.cuts[SHARD] = [700, 5000, 9000]
    assert contents(server) == expected(server)
    assert not server.cuts[SHARD]


def test_it_goes_on_at_the_byte_where_it_broke(server: Server) -> None:
    server.cuts[SHARD] = [700]
    contents(server)
    assert [first for name, first in server.requests if name == SHARD] == [0, 700]


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.answers[SHARD] = [503, 429, 500]
    assert contents(server) == expected(server)


def test_a_connection_that_always_breaks_is_named_with_what_to_do(server: Server) -> None:
    server.cuts[SHARD] = [0] * 99
    with pytest.raises(UserError) as told:
        contents(server)
    assert str(told.value) == (
        f"{server.url}/{SHARD} cannot be read (the connection was closed before all of it was sent), after 3 "
        "more attempts in 0 seconds; what was saved is kept: once it can be read, run the same command again"
    )


def test_a_server_that_is_gone_is_named(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looksam.remote_file, "WAITS", (0, 0, 0))
    with served(shards) as server:
        pass
    with pytest.raises(UserError, match=f"{server.url}/train-000000.tar cannot be read .*Connection refused"):
        contents(server)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (404, r"is not given out \(404 Not Found\); copy the whole folder there, or correct `shards`"),
        (403, r"is not given out \(403 Forbidden\); renew the credential, or the signed URL"),
        (401, r"is not given out \(401 Unauthorized\); renew the credential"),
    ],
)
def test_a_refusal_is_told_at_once(server: Server, code: int, message: str) -> None:
    server.answers[SHARD] = [code]
    with pytest.raises(UserError, match=f"{server.url}/{SHARD} {message}"):
        contents(server)
    assert SHARD not in [name for name, _ in server.requests]


def test_a_damaged_byte_is_told_with_its_sample_and_asked_for_once(server: Server) -> None:
    rows = read_index(server.folder, "train")
    server.flipped[SHARD] = int(rows.samples["offset"][17]) + 300
    with pytest.raises(UserError) as told:
        contents(server)
    assert f"{server.url}/{SHARD} is not what the index says: sample {rows.key(17)} at byte" in str(
        told.value
    )
    assert [name for name, _ in server.requests].count(SHARD) == 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_shard_that_was_copied_in_part_is_told(tmp_path: Path, knows_ranges: bool) -> None:
    folder = photo_shards(tmp_path)
    (folder / SHARD).write_bytes((folder / SHARD).read_bytes()[:5000])
    with served(folder) as server:
        server.knows_ranges = knows_ranges
        with pytest.raises(UserError, match=f"{SHARD} was cut short, or is another"):
            contents(server)


def test_an_image_that_cannot_be_decoded_is_told_by_its_bytes(server: Server) -> None:
    told = str(remote(server).undecodable(0, OSError("no image")))
    assert told.startswith(f"{server.url}/train-000000.tar: the image at bytes 512 to ")


def test_the_secret_of_a_signed_url_is_sent_and_not_shown(server: Server) -> None:
    server.url += "?signature=abc"
    assert contents(server) == expected(server)
    assert joined("https://host/a/?signature=abc", "x.tar") == "https://host/a/x.tar?signature=abc"
    assert joined("https://host/a", "x y.tar") == "https://host/a/x%20y.tar"
    server.answers[SHARD] = [403]
    with pytest.raises(UserError) as told:
        contents(server)
    assert "abc" not in str(told.value)


def test_what_fsspec_opens_is_read_as_well(server: Server) -> None:
    server.url = f"file://{server.folder}"
    assert contents(server, [20, 3]) == expected(server, [20, 3])
    with pytest.raises(UserError, match=r"no\.tar is not given out \(404 no such file\)"):
        RemoteFile(f"{server.url}/no.tar").read(0, 1)


def test_a_scheme_that_nothing_opens_is_named() -> None:
    with pytest.raises(UserError, match=r"ftps3://host/x cannot be opened: Protocol not known: ftps3"):
        whole("ftps3://host/x")


def test_a_page_instead_of_a_file_is_no_index(tmp_path: Path) -> None:
    folder = photo_shards(tmp_path / "photos")
    (folder / "_info.json").write_text("<html>Sign in</html>")
    with served(folder) as server, pytest.raises(UserError, match=r"_info\.json is no JSON"):
        fetch_index(server.url, tmp_path / "fetched")
    assert not (tmp_path / "fetched/index.parquet").exists()


def test_evaluation_sees_what_the_folder_has(server: Server) -> None:
    rows = read_index(server.folder, "test")
    positions = torch.arange(len(rows))
    found = streamed(rows, PHOTOS | {"shards": server.url}).at(positions)
    assert torch.equal(found, Photographs(rows, PHOTOS).at(positions))
