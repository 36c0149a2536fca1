"""The settings of the tpu profile, checked before anything is created: where slices are, and of what type."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from looksam.config import Row, check, read_yaml
from looksam.errors import UserError

FILE = Path("workflow/profiles/tpu/settings.yaml")
SCHEMA = Path("workflow/schemas/config.schema.yaml")

# By what a type begins with: its generation, how many its number counts of a chip, and the chips of a slice
# with one host; of larger slices each host has 4. cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}
GENERATIONS = {"v4": ("v4", 2, 4), "v5litepod": ("v5e", 1, 8), "v5p": ("v5p", 2, 4), "v6e": ("v6e", 1, 8)}
CHIPS_PER_HOST = 4


@dataclass(frozen=True)
class Shape:
    """A type of slice, such as v6e-16: generation, chips, and hosts."""

    type: str
    generation: str
    chips: int
    hosts: int


@dataclass(frozen=True)
class Settings:
    """workflow/profiles/tpu/settings.yaml; keys as the schema describes them."""

    project: str
    zone: str
    bucket: str
    mount: Path
    max_device_hours: float
    accelerator_types: dict[int, str]
    measuring_type: str
    runtime_version: str
    setup: Path
    spot: bool
    wait_hours: float
    deadline_hours: float
    stall_minutes: float
    slices: int
    poll_seconds: float
    cost_per_chip_hour: float | None = None

    def shape_for(self, batch_size: int) -> Shape:
        """The slice that trains a batch of this size; UserError where there is none, or not fit for it."""
        if batch_size not in self.accelerator_types:
            known = ", ".join(str(size) for size in self.accelerator_types)
            raise UserError(
                f"{FILE}: accelerator_types: none for batch size {batch_size}; there are: {known}"
            )
        shape = shape_of(self.accelerator_types[batch_size])
        if batch_size % shape.chips:
            raise UserError(
                f"{FILE}: accelerator_types: {batch_size}: {shape.type} has {shape.chips} chips, which "
                f"cannot share a batch of {batch_size}; name a type whose chips divide it"
            )
        return shape

    @property
    def generation(self) -> str:
        """The generation of all its slices, such as v6e."""
        return shape_of(next(iter(self.accelerator_types.values()))).generation

    @property
    def label(self) -> str:
        """What slices of trainings whose results are in this bucket are labelled with."""
        return re.sub("[^a-z0-9_-]", "-", self.bucket)[:63]


def read_settings(root: Path = Path()) -> Settings:
    """The checkout's settings; UserError naming file and key where one is missing, a placeholder or wrong.

    Also where accelerator types are of two generations, which no one image boots.
    """
    content = read_yaml(root / FILE)
    schema = yaml.safe_load((root / SCHEMA).read_text())
    for key, value in content.items():
        if isinstance(value, str) and value.startswith("YOUR-"):
            what = schema["$defs"]["tpu"]["properties"].get(key, {}).get("description", "")
            raise UserError(f"{FILE}: {key}: {value} stands for yours; write it there: {what}")
    types = content.get("accelerator_types")
    if isinstance(types, dict):
        content["accelerator_types"] = {str(size): type for size, type in types.items()}
    check(content, "tpu", schema, str(FILE))
    return _typed(content, schema["$defs"]["tpu"]["properties"])


def _typed(content: Row, properties: Row) -> Settings:
    values: dict[str, Any] = {key: p["default"] for key, p in properties.items() if "default" in p} | content
    shapes = {int(size): shape_of(type) for size, type in values["accelerator_types"].items()}
    used = [*shapes.values(), shape_of(values["measuring_type"])]
    generations = sorted({shape.generation for shape in used})
    if len(generations) > 1:
        raise UserError(
            f"{FILE}: accelerator_types: {' and '.join(generations)} need two images, and runtime_version "
            "names one; choose types of one generation"
        )
    values["accelerator_types"] = {size: shape.type for size, shape in shapes.items()}
    paths = {key: Path(values[key]) for key in ("mount", "setup")}
    return Settings(**{f.name: values.get(f.name) for f in fields(Settings)} | paths)  # type: ignore[arg-type]


def shape_of(type: str) -> Shape:
    """Generation, chips and hosts of a type; UserError where torch_tpu or the queue does not serve it."""
    name, _, number = type.partition("-")
    if name not in GENERATIONS or not number.isdecimal() or int(number) == 0:
        raise UserError(
            f"{FILE}: accelerator_types: {type!r} is none that can be had; allowed: "
            f"{', '.join(f'{known}-<n>' for known in GENERATIONS)}. torch_tpu does not serve v2 and v3, and "
            "Google gives v7 through Kubernetes alone"
        )
    generation, per_chip, alone = GENERATIONS[name]
    chips = max(1, int(number) // per_chip)
    return Shape(type, generation, chips, 1 if chips <= alone else -(-chips // CHIPS_PER_HOST))
