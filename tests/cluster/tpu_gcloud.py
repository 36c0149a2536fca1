"""A stand-in for gcloud, as far as looksam uses it: slices are files, hosts are processes of this machine.

It tests our logic and says nothing of Google's behaviour. Below $TPU_STAND_IN lie `slices/<name>.json`, and
what a test asks for: `credentials.expired`, `limit` (how many slices there may be), `boots` (startup scripts
run), `next.json`, what the slices to come begin with, and `trouble`: a verb, a number, and what happens at
that call of it. A slice is ACTIVE one look after its creation.
"""

import argparse
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

STATE = Path(os.environ.get("TPU_STAND_IN", "nowhere"))
HOSTS = {"v6e-1": 1, "v5p-8": 1, "v5p-16": 2, "v5p-32": 4}


def refuse(text: str) -> None:
    sys.exit(f"ERROR: (gcloud.compute.tpus) {text}")


def path_of(name: str) -> Path:
    return STATE / "slices" / f"{name}.json"


def read(name: str) -> dict:
    try:
        return json.loads(path_of(name).read_text())
    except FileNotFoundError:
        return {"state": "GONE", "dead": []}


def write(name: str, content: dict) -> None:
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def names() -> list[str]:
    return sorted(path.stem for path in (STATE / "slices").glob("*.json"))


def processes_of(name: str, host: int | None = None) -> list[int]:
    """What runs on a slice's hosts, by the environment that it inherited."""
    mark = f"TPU_STAND_IN_HOST={name}/" + ("" if host is None else f"{host}\0")
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def kill(name: str, host: int | None = None, number: int = signal.SIGKILL) -> None:
    while pids := processes_of(name, host):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number != signal.SIGKILL:
            return
        time.sleep(0.02)  # one that was started meanwhile must not outlive its slice


def create(arguments: argparse.Namespace) -> None:
    name, limit = arguments.name, STATE / "limit"
    if path_of(name).exists():
        refuse(f"ALREADY_EXISTS: Resource '{name}' already exists")
    if arguments.accelerator_type not in HOSTS:
        refuse(f"INVALID_ARGUMENT: no {arguments.accelerator_type}")
    # a suspended slice holds its quota too
    if limit.exists() and len(names()) >= int(limit.read_text()):
        refuse(
            "RESOURCE_EXHAUSTED: Quota limit 'TPUV5PPreemptiblePerProjectPerZoneForTPUAPI' has been exceeded."
        )
    following = STATE / "next.json"
    given = json.loads(following.read_text()) if following.exists() else []
    if given:
        following.write_text(json.dumps(given[1:]))
    labels = dict([arguments.labels.split("=")]) if arguments.labels else {}
    slice = {
        "state": "WAITING_FOR_RESOURCES",
        "type": arguments.accelerator_type,
        "labels": labels,
        "dead": [],
    }
    slice |= {"spot": arguments.spot, "startup": "", "options": sys.argv[1:], "why": "", "looks": 0}
    if arguments.metadata_from_file:
        slice["startup"] = Path(arguments.metadata_from_file.removeprefix("startup-script=")).read_text()
    write(name, slice | (given[0] if given else {}))
    with (STATE / "created").open("a") as file:
        file.write(f"{name}\n")


def delete(arguments: argparse.Namespace) -> None:
    slice = read(arguments.name)
    if slice["state"] == "GONE":
        refuse(f"NOT_FOUND: Resource '{arguments.name}' was not found")
    if slice["state"] not in ("ACCEPTED", "FAILED", "SUSPENDED") and not arguments.force:
        refuse("FAILED_PRECONDITION: a queued resource with nodes is deleted with --force alone")
    write(arguments.name, slice | {"state": "DELETING", "looks": 0})
    kill(arguments.name)


def list_all(arguments: argparse.Namespace) -> None:
    found = []
    for name in names():
        slice = read(name)
        if slice["state"] == "DELETING" and slice["looks"] > 0:
            path_of(name).unlink(missing_ok=True)
            continue
        if slice["state"] in ("DELETING", "WAITING_FOR_RESOURCES"):
            if slice["state"] == "WAITING_FOR_RESOURCES" and slice["looks"] > 0:
                slice["state"] = "ACTIVE"
                boot(name, slice)
            slice["looks"] += 1
            write(name, slice)
        state = {"state": slice["state"]}
        if slice["why"]:
            state["failedData"] = {"error": {"code": 8, "message": slice["why"]}}
        node = {"acceleratorType": slice["type"], "labels": slice["labels"]}
        tpu = {"nodeSpec": [{"nodeId": name, "node": node}]}
        full = f"projects/{arguments.project}/locations/{arguments.zone}/queuedResources/{name}"
        found.append({"name": full, "state": state, "tpu": tpu, "createTime": "2026-01-01T00:00:00Z"})
    print(json.dumps(found))


def boot(name: str, slice: dict) -> None:
    if (STATE / "boots").exists():
        subprocess.Popen(
            ["bash", "-c", slice["startup"]],
            env={**os.environ, "TMPDIR": str(STATE)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def ssh(arguments: argparse.Namespace) -> None:
    """Run a command on each host; a host that is dead, or whose slice is gone, drops its connection."""
    name, slice = arguments.name, read(arguments.name)
    if slice["state"] != "ACTIVE":
        refuse(f"NOT_FOUND: no node '{name}' is ready")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = range(HOSTS[slice["type"]])
    running = {host: start(arguments, host, len(hosts), port) for host in hosts if host not in slice["dead"]}
    while any(process.poll() is None for process in running.values()):
        time.sleep(0.05)
        slice = read(name)
        if slice["state"] not in ("ACTIVE", "SUSPENDING"):
            sys.exit(255)
    slice = read(name)
    codes = [255 if host in slice["dead"] else running[host].returncode for host in hosts]
    # what a signal ended, the connection's end said
    if code := next((255 if code < 0 else code for code in codes if code), 0):
        sys.exit(code)


def start(arguments: argparse.Namespace, host: int, hosts: int, port: int) -> subprocess.Popen:
    home = STATE / "hosts" / arguments.name / str(host)
    home.mkdir(parents=True, exist_ok=True)
    of_host = json.loads(os.environ.get("TPU_STAND_IN_HOSTS", "{}")).get(str(host), {})
    environment = {
        **os.environ,
        "HOME": str(home),
        "TPU_STAND_IN_HOST": f"{arguments.name}/{host}",
        "TPU_WORKER_ID": str(host),
        "TPU_HOSTS": str(hosts),
        "TPU_PORT": str(port),
        # hosts of two slices share this machine's ports
        "MASTER_PORT": str(port),
        **of_host,
    }
    with (Path(arguments.output_directory) / f"{host}.log").open("wb") as log:
        # a session of its own, as what a connection's end leaves running
        return subprocess.Popen(
            ["bash", "-c", arguments.command],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def trouble() -> str:
    """What happens at this call, by its verb and its number among those; nothing at most."""
    with (STATE / "calls").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{' '.join(sys.argv[1:5])}\n")
        file.seek(0)
        verbs = [call.split()[-1] for call in file.read().splitlines()]
    asked = STATE / "trouble"
    place, _, what = asked.read_text().partition(": ") if asked.exists() else ("", "", "")
    return what if place == f"{verbs[-1]} {verbs.count(verbs[-1])}" else ""


COMMANDS = {
    ("queued-resources", "create"): create,
    ("queued-resources", "delete"): delete,
    ("queued-resources", "list"): list_all,
    ("tpu-vm", "ssh"): ssh,
}
OPTIONS = ("project", "zone", "node-id", "accelerator-type", "runtime-version", "labels", "format", "scopes")
OPTIONS += ("ssh-flag", "valid-until-duration", "metadata-from-file", "worker", "command", "output-directory")


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("words", nargs="+")
    for name in OPTIONS:
        parser.add_argument(f"--{name}")
    for name in ("spot", "async", "quiet", "force"):
        parser.add_argument(f"--{name}", action="store_true")
    arguments = parser.parse_args()
    *group, kind, verb = arguments.words[:4]
    arguments.name = arguments.words[4] if len(arguments.words) > 4 else None
    if group != ["compute", "tpus"] or (kind, verb) not in COMMANDS:
        refuse(f"Invalid choice: {arguments.words}")
    if not (arguments.project and arguments.zone and arguments.quiet):
        refuse("--project, --zone and --quiet are wanted: nobody is there to answer questions")
    if (STATE / "credentials.expired").exists():
        refuse("There was a problem refreshing your current auth tokens: invalid_grant")
    happens = trouble()
    if happens == "unavailable":
        refuse("UNAVAILABLE: The service is currently unavailable.")
    COMMANDS[kind, verb](arguments)
    if happens == "cut off":  # it did its work, and could not say so
        print("ERROR: (gcloud.compute.tpus) UNAVAILABLE: connection reset", file=sys.stderr)
        sys.exit(255 if verb == "ssh" else 1)
    if happens == "killed":
        os.kill(os.getppid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
