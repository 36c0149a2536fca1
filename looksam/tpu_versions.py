"""The packages of a slice's hosts, compared: ranks of two versions would train wrongly, or wait for ever."""

import json
from pathlib import Path

from looksam.errors import UserError
from looksam.results import text_of
from looksam.tpu_host import VERSIONS

# of the packages that differ, so many are named
NAMED = 5


def check_versions(logs: Path, hosts: int) -> None:
    """UserError naming hosts, packages and versions where those of <logs>/<host>.log are not the same."""
    found = [versions_in(text_of(logs / f"{host}.log") or "", host) for host in range(hosts)]
    packages = sorted({package for versions in found for package in versions})
    differ = [p for p in packages if len({versions.get(p) for versions in found}) > 1]
    if differ:
        told = "; ".join(f"{package}: {by_version(package, found)}" for package in differ[:NAMED])
        more = f"; {len(differ) - NAMED} more" if len(differ) > NAMED else ""
        raise UserError(f"the hosts do not run the same packages: {told}{more}. Pin them in the setup script")


def versions_in(log: str, host: int) -> dict[str, str]:
    """The versions that a host's log tells."""
    lines = [line for line in log.splitlines() if line.startswith(VERSIONS)]
    if not lines:
        raise UserError(f"host {host} has not said what is installed there; its log: {log[-500:] or 'empty'}")
    versions: dict[str, str] = json.loads(lines[-1].removeprefix(VERSIONS))
    return versions


def by_version(package: str, found: list[dict[str, str]]) -> str:
    """Which hosts have which version of a package, in words."""
    hosts: dict[str, list[str]] = {}
    for host, versions in enumerate(found):
        hosts.setdefault(versions.get(package, "none"), []).append(str(host))
    return ", ".join(f"{version} on {' '.join(names)}" for version, names in hosts.items())
