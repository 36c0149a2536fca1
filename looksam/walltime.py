"""How long a training may take on a cluster, by the plan's costs. Torch-free."""

from functools import cache
from math import ceil
from pathlib import Path

from looksam.config import Row, read_yaml
from looksam.costs import Device, device_hours
from looksam.errors import UserError
from looksam.hardware import device
from looksam.study import Study

# what `minutes` takes of a profile
SITE = ("device", "nodes", "gres", "longest")
# a device reaches less of its peak than planned, and data must be read
MARGIN = 2
# to start, to compile, and to read the data
MINUTES_TO_START = 20


def minutes(settings: Row, site: Row) -> int:
    """Minutes to ask for a training of these settings.

    site: what a profile sets for the rule: `device` (a row of config/devices.yaml), `nodes`, `gres` (such as
    gpu:8, of each node), `longest` (minutes that the site allows; a longer training comes back). Without
    them, one CPU core. UserError where the devices cannot share a batch, before anybody waits for them.
    """
    nodes, each = int(site.get("nodes", 1)), gpus(str(site.get("gres", "")))
    devices = nodes * each
    if settings["batch_size"] % devices:
        raise UserError(
            f"a batch of {settings['batch_size']} cannot be shared by {devices} devices, which the profile "
            f"asks for with nodes {nodes} and gres {site.get('gres', 'none')}; their number must divide it"
        )
    hours = device_hours(settings, named(str(site.get("device", "cpu")))) / devices
    planned = ceil(hours * 60 * MARGIN) + MINUTES_TO_START
    return min(planned, int(site.get("longest", planned)))


def gpus(gres: str) -> int:
    """How many GPUs `gpu`, `gpu:8` or `gpu:a100:8` asks of a node, 1 where it is empty."""
    last = gres.split(":")[-1]
    return int(last) if last.isdecimal() else 1


@cache
def named(name: str) -> Device:
    """The device `name` of config/devices.yaml."""
    chosen = read_yaml(Path("config/config.yaml"))
    # a study of one table is read sooner than one of all
    return device(name, Study(chosen | {"tables": chosen["tables"][:1]}))
