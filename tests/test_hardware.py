"""The rows of config/devices.yaml, and the paper's hours that one of them is calibrated on."""

from dataclasses import replace as replace_
from pathlib import Path

import pytest
from study_files import ROOT, copied, edit, replace, study

from looksam.config import read_yaml
from looksam.costs import Device, device_hours
from looksam.errors import UserError
from looksam.hardware import device
from looksam.study import Study

CALIBRATED_ON = {("vanilla", 4096), ("layersam", 4096)}


@pytest.fixture(scope="module")
def paper() -> Study:
    return study(scale="paper", tables=["table4"])


Hours = dict[tuple[str, int], tuple[float, float]]


@pytest.fixture(scope="module")
def hours(paper: Study) -> Hours:
    """Of each printed cell of Table 4, the hours that tpu-v3 is planned to take, and the paper's."""
    return hours_on(device("tpu-v3", paper), paper)


def hours_on(tpu: Device, paper: Study) -> Hours:
    found = {}
    for cell in paper.tables["table4"].cells:
        printed = paper.layout.published("table4", cell.coordinates, "training_hours")
        settings = cell.runs[0].settings
        if printed and printed["value"]:
            ours = device_hours(settings, tpu) / tpu.count(settings)
            found[cell.coordinates["method"], settings["batch_size"]] = ours, float(printed["value"])
    return found


def deviations(hours: Hours) -> dict[tuple[str, int], float]:
    """Of the nine printed cells that the calibration does not see, our hours over the paper's, less 1."""
    return {cell: ours / printed - 1 for cell, (ours, printed) in hours.items() if cell not in CALIBRATED_ON}


def test_the_two_cells_of_the_calibration_come_out_as_printed(hours: Hours) -> None:
    assert [hours[cell][0] for cell in CALIBRATED_ON] == pytest.approx([hours[c][1] for c in CALIBRATED_ON])


def test_the_other_nine_printed_cells_of_table_4_are_predicted_within_10_percent(hours: Hours) -> None:
    found = deviations(hours)
    assert len(found) == 9
    assert max(abs(deviation) for deviation in found.values()) < 0.1


def test_the_deviations_are_those_that_the_docs_tell(hours: Hours) -> None:
    found = deviations(hours)
    by_method = {method: [round(d, 3) for (m, _), d in found.items() if m == method] for method, _ in found}
    assert by_method["vanilla"] == [0, 0]
    assert (min(by_method["layersam"]), max(by_method["layersam"])) == (-0.045, -0.023)
    assert set(by_method["look-layersam-5"]) == {0.003}


def test_without_the_assumed_cost_of_reuse_the_nine_stand_too(paper: Study) -> None:
    found = deviations(hours_on(replace_(device("tpu-v3", paper), reuse=0.0), paper))
    assert max(abs(deviation) for deviation in found.values()) < 0.05
    assert min(d for (method, _), d in found.items() if method == "look-layersam-5") > -0.015


def test_the_paper_reaches_30_percent_of_a_cores_peak(paper: Study) -> None:
    assert round(device("tpu-v3", paper).utilisation, 2) == 0.30


def test_the_calibration_is_computed_from_the_published_hours(tmp_path: Path) -> None:
    root = copied(tmp_path)
    replace(root / "config/published.csv", "training_hours,8.4,", "training_hours,7.2,")
    assert device("tpu-v3", study(root, tables=["table4"])).f_sam == pytest.approx(7.2 / 4.8)


def test_the_calibration_is_the_same_at_every_scale_and_for_every_table(paper: Study) -> None:
    assert device("tpu-v3", study(scale="mini", tables=["table7"])) == device("tpu-v3", paper)


@pytest.mark.parametrize("name", sorted(read_yaml(ROOT / "config/devices.yaml")))
def test_a_device_says_what_its_speed_rests_on(name: str, paper: Study) -> None:
    found = device(name, paper)
    assert found.basis == ("calibrated" if name == "tpu-v3" else "assumed")
    assert isinstance(found, Device)


def test_an_unknown_device_names_the_known_ones(paper: Study) -> None:
    with pytest.raises(UserError, match=r"unknown device 'tpu-v9'; known: tpu-v3, .*h100, cpu"):
        device("tpu-v9", paper)


def test_a_calibration_on_a_cell_without_hours_says_what_is_missing(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/devices.yaml", lambda rows: rows["tpu-v3"]["calibrated_on"].update(batch_size=32768))
    with pytest.raises(UserError, match=r"no training_hours of vanilla at batch_size 32768 in table4"):
        device("tpu-v3", study(root, tables=["table4"]))


def test_a_device_without_a_utilisation_is_a_mistake_of_its_file(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/devices.yaml", lambda rows: rows["h100"].pop("utilisation"))
    with pytest.raises(UserError, match=r"config/devices\.yaml: h100"):
        device("h100", study(root, tables=["table4"]))
