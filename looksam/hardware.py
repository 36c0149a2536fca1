"""The rows of config/devices.yaml as devices; a row that names cells of the paper is calibrated on them."""

from dataclasses import replace
from pathlib import Path

from looksam.config import Row, check, one_of, read_yaml
from looksam.costs import Device, base_operations
from looksam.errors import UserError
from looksam.study import Study

FILE = "config/devices.yaml"


def device(name: str, study: Study) -> Device:
    """The device `name`; UserError where it is unknown or its row is wrong."""
    rows = read_yaml(study.root / FILE)
    check(rows, "devices", study.config.schema, FILE)
    row = rows[one_of(name, "device", rows, f"--device (a row of {FILE})")]
    known = {key: row[key] for key in ("reuse", "is_core", "images_per_device", "most_devices") if key in row}
    peak = row["peak_tflops"] * 1e12
    if "calibrated_on" not in row:
        return Device(name, peak, row["utilisation"], row["f_sam"], basis="assumed", **known)
    # an empty utilisation, because how many devices the paper had is asked of the same row
    blank = Device(name, peak, 1.0, 1.0, basis="calibrated", **known)
    return calibrated(blank, row["calibrated_on"], study.root)


def calibrated(blank: Device, on: Row, root: Path) -> Device:
    """The device with the utilisation and f_sam that the paper's hours of two cells have."""
    paper = Study({"scale": "paper", "tables": [on["table"]]}, root)
    hours, settings = {}, {}
    for cell in paper.tables[on["table"]].cells:
        asked = cell.coordinates
        if asked.get("batch_size") == on["batch_size"] and asked["method"] in (on["base"], on["sam"]):
            published = paper.layout.published(on["table"], asked, on["metric"])
            if published and published["value"] and cell.runs:
                hours[asked["method"]] = float(published["value"])
                settings[asked["method"]] = cell.runs[0].settings
    if missing := [method for method in (on["base"], on["sam"]) if method not in hours]:
        raise UserError(
            f"{FILE}: {blank.name}: config/published.csv has no {on['metric']} of {' and '.join(missing)} at "
            f"batch_size {on['batch_size']} in {on['table']}; take cells that it has, or give utilisation "
            "and f_sam"
        )
    base = settings[on["base"]]
    rate = base_operations(base) / (hours[on["base"]] * 3600 * blank.count(base))
    return replace(
        blank,
        utilisation=rate / blank.peak,
        f_sam=hours[on["sam"]] / hours[on["base"]],
        measured_on=(
            f"the paper's {on['table']}: {base['model']['name']}, {on['base']} and {on['sam']} "
            f"at {on['batch_size']:,}"
        ),
    )
