"""TPU slices as Google's queue has them, by gcloud: listed, created, deleted, and commands on their hosts."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.tpu_settings import Settings, Shape

LABEL = "looksam"
SECONDS_OF_A_CALL = 300
# only the first host says something all the time: without this, a router forgets the others' connections
# after ten minutes, and a host that is gone is noticed by nobody
KEPT_ALIVE = ("--ssh-flag=-oServerAliveInterval=30", "--ssh-flag=-oServerAliveCountMax=10")
# a slice that waits for its turn, or that Google is making
COMING = ("CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING")
# every host deletes the whole slice, so that one that is dead leaves no slice behind
DEADLINE = """#!/bin/bash
# deletes this slice at its deadline, where whoever made it has not; a second boot does not set it back
export PATH=$PATH:/usr/local/bin:/snap/bin
began=${{TMPDIR:-/var/tmp}}/{name}.began
[ -s "$began" ] || date +%s >"$began"
left=$(($(cat "$began") + {seconds} - $(date +%s)))
nohup bash -c '
    sleep '$((left > 0 ? left : 0))'
    until gcloud {delete}; do sleep 60; done
' >/dev/null 2>&1 &
"""


class CloudError(UserError):
    """gcloud refused, or could not be asked."""


@dataclass(frozen=True)
class Slice:
    """A queued resource and its node. state: Google's word; why: what it says of a failure."""

    name: str
    state: str
    type: str
    label: str
    created: str
    why: str


class Slices:
    """The queue of the settings' project and zone. Every method may raise CloudError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def all(self) -> list[Slice]:
        """Those that carry our label, whoever made them."""
        text = self._gcloud("queued-resources", "list", "--format=json")
        try:
            found = [parsed(resource) for resource in json.loads(text or "[]")]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CloudError(f"gcloud's list of slices cannot be read: {error!r}") from error
        return [slice for slice in found if slice.label]

    def find(self, name: str) -> Slice | None:
        """The slice of this name; None where the queue has none."""
        return next((slice for slice in self.all() if slice.name == name), None)

    def create(self, name: str, shape: Shape) -> None:
        """Put a slice into the queue, or find that it is there."""
        script = folder_of(name) / "startup.sh"
        script.parent.mkdir(parents=True, exist_ok=True)
        seconds = round(self.settings.deadline_hours * 3600)
        delete = " ".join(self._command("queued-resources", "delete", name, "--force", "--async"))
        script.write_text(DEADLINE.format(name=name, seconds=seconds, delete=delete))
        arguments = [
            f"--node-id={name}",
            f"--accelerator-type={shape.type}",
            f"--runtime-version={self.settings.runtime_version}",
            f"--labels={LABEL}={self.settings.label}",
            f"--valid-until-duration={round(self.settings.wait_hours * 3600)}s",
            f"--metadata-from-file=startup-script={script}",
            # for the deadline, and to read and write the bucket
            "--scopes=https://www.googleapis.com/auth/cloud-platform",
            *(["--spot"] if self.settings.spot else []),
            "--async",
        ]
        try:
            self._gcloud("queued-resources", "create", name, *arguments)
        except CloudError as error:
            if "ALREADY_EXISTS" not in str(error) and "already exists" not in str(error):
                raise

    def delete(self, name: str) -> None:
        """Ask for the end of a slice, live or not; it stays in the queue as DELETING for a while."""
        try:
            self._gcloud("queued-resources", "delete", name, "--force", "--async")
        except CloudError as error:
            if "NOT_FOUND" not in str(error):
                raise

    def on_hosts(self, name: str, script: str, logs: Path) -> "subprocess.Popen[bytes]":
        """Run a script of bash on all hosts at once; what host n says is written to logs/<n>.log.

        The process ends with the code of the first host that failed, and 255 where one cannot be reached.
        """
        logs.mkdir(parents=True, exist_ok=True)
        command = ["ssh", name, "--worker=all", *KEPT_ALIVE]
        command += [f"--command={script}", f"--output-directory={logs}"]
        with (logs / "gcloud.log").open("wb") as said:
            # a session of its own: Ctrl-C is for the launcher, which ends the hosts' work first
            return subprocess.Popen(
                ["gcloud", *self._command("tpu-vm", *command)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _command(self, *arguments: str) -> list[str]:
        where = [f"--project={self.settings.project}", f"--zone={self.settings.zone}", "--quiet"]
        return ["compute", "tpus", *arguments, *where]

    def _gcloud(self, *arguments: str) -> str:
        command = ["gcloud", *self._command(*arguments)]
        try:
            # a session of its own: a call that Ctrl-C cut off may or may not have done its work
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS_OF_A_CALL,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise CloudError(
                "no gcloud in PATH; install the Google Cloud CLI and run `gcloud init`"
            ) from None
        except subprocess.TimeoutExpired:
            raise CloudError(f"gcloud {arguments[1]} took longer than {SECONDS_OF_A_CALL} s") from None
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise CloudError(f"gcloud {arguments[0]} {arguments[1]}: {said}")
        return done.stdout


def folder_of(name: str) -> Path:
    """Where a slice's launcher keeps its lock, scripts and the hosts' logs."""
    return Path(".tpu/slices") / name


def parsed(resource: Mapping[str, Any]) -> Slice:
    """A queued resource of gcloud's JSON as a slice."""
    state = resource["state"]
    node = resource["tpu"]["nodeSpec"][0]["node"]
    why = next((data["error"].get("message", "") for data in state.values() if _is_failure(data)), "")
    return Slice(
        name=resource["name"].rpartition("/")[2],
        state=state["state"],
        type=node.get("acceleratorType", ""),
        label=node.get("labels", {}).get(LABEL, ""),
        created=resource.get("createTime", ""),
        why=why,
    )


def _is_failure(data: Any) -> bool:
    return isinstance(data, Mapping) and isinstance(data.get("error"), Mapping)
