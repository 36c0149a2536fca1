from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from looksam.hits import packed, unpacked
from looksam.outcomes import OUTCOMES


def outcomes(folder: Path, correct: list[bool], keys: str = "abcdefghijklmnop", label: int = 3) -> Path:
    """An outcomes.parquet of as many images."""
    rows = [
        {"key": key, "label": label, "predicted": 3, "correct": right, "in_top5": True, "loss": 0.5}
        for key, right in zip(keys, correct, strict=False)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=OUTCOMES), folder / "outcomes.parquet")
    return folder / "outcomes.parquet"


def columns(folder: Path, correct: list[bool], **other: Any) -> dict[str, Any]:
    """The columns of an evaluation that hold the hits."""
    return {"images": len(correct), **packed(outcomes(folder, correct, **other))}


@pytest.mark.parametrize("images", [1, 7, 8, 9, 16])
def test_hits_survive_packing_whatever_their_number(tmp_path: Path, images: int) -> None:
    correct = [i % 3 != 1 for i in range(images)]
    found = unpacked(columns(tmp_path, correct))
    assert found is not None
    assert found.right.tolist() == correct


def test_an_image_takes_a_bit(tmp_path: Path) -> None:
    assert len(columns(tmp_path, [True] * 16)["correct"]) == 2


def test_the_same_images_have_the_same_digest_whatever_the_outcome(tmp_path: Path) -> None:
    first, second = columns(tmp_path, [True] * 4), columns(tmp_path, [False] * 4)
    assert first["test_images"] == second["test_images"]


@pytest.mark.parametrize("other", [{"keys": "abce"}, {"label": 4}, {"keys": "abdc"}])
def test_other_images_labels_or_order_have_another_digest(tmp_path: Path, other: dict[str, Any]) -> None:
    first, second = columns(tmp_path, [True] * 4), columns(tmp_path, [True] * 4, **other)
    assert first["test_images"] != second["test_images"]


def test_a_diverged_run_has_no_hits(tmp_path: Path) -> None:
    found = columns(tmp_path, [])
    assert found == {"images": 0, "test_images": None, "correct": None}
    assert unpacked(found) is None


def test_a_run_wrong_on_every_image_has_hits(tmp_path: Path) -> None:
    found = unpacked(columns(tmp_path, [False] * 8))
    assert found is not None
    assert not found.right.any()
