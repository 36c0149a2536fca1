"""A training or evaluation on a slice, from its creation to its end: whatever happens, no slice is left.

A training that a lost slice ended resumes on the next from its last checkpoint, an evaluation after the last
run that it measured. The loops are bounded by the
settings `slices`, `wait_hours` and `max_device_hours`.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from looksam.errors import UserError
from looksam.held_slice import HeldSlice, Lost, is_passing, refusal
from looksam.locks import alone
from looksam.results import text_of
from looksam.slices import CloudError, folder_of
from looksam.stops import Stopped, Stops, Work, end, stops
from looksam.tpu_budget import Spent, check_spent, checked_budget
from looksam.tpu_code import shared_code
from looksam.tpu_host import leave_script, train_script, versions_script
from looksam.tpu_job import Job, job
from looksam.tpu_progress import Pulse, Tail, say
from looksam.tpu_settings import Settings, read_settings
from looksam.tpu_versions import check_versions

SECONDS_TO_ANSWER = 120
SECONDS_TO_SET_UP = 3600
SECONDS_TO_LEAVE = 60
# what ssh ends with where the connection failed, and not the command
NO_CONNECTION = 255


def launch(command: Sequence[str]) -> int:
    """The exit code of a command, run on a slice; UserError where it is not to be."""
    settings = read_settings()
    made = job(command, settings)
    with stops() as asked, alone(folder_of(made.slice)):
        try:
            return Launcher(made, settings, asked).run()
        except Stopped as stopped:
            say(f"looksam tpu: {stopped}; the same command goes on from the last checkpoint")
            return 128 + stopped.number


class Dropped(Lost):
    """The connection ended, the slice is whole: it may go on with the same one."""


class Launcher:
    """One job's way over one or more slices."""

    def __init__(self, job: Job, settings: Settings, stops: Stops) -> None:
        self.job, self.settings, self.stops = job, settings, stops
        self.slice = HeldSlice(job.slice, job.shape, settings, stops)
        self.code = shared_code(settings.mount)

    def run(self) -> int:
        """The command's exit code. UserError or CloudError where it cannot be had; Stopped by a signal."""
        folder = folder_of(self.job.slice)
        try:
            say(f"looksam tpu: {checked_budget(self.settings, self.job.run)}")
            for number in range(1, self.settings.slices + 1):
                check_spent(self.settings)
                try:
                    self.slice.obtain()
                    return self.work(folder / str(number))
                except Lost as lost:
                    say(f"looksam tpu: {self.job.slice} is lost: {lost}")
                    if not isinstance(lost, Dropped):
                        self.slice.remove()
            raise UserError(
                f"{self.job.name}: {self.settings.slices} slices were lost one after another; its "
                f"checkpoints stay, and the same command goes on from there. What the hosts said: {folder}"
            )
        finally:
            self.slice.leave_nothing()

    def work(self, logs: Path) -> int:
        """Set the hosts up, run the command on them, and say how it ended; Lost where the slice did."""
        self.set_up(logs / "setup")
        before = text_of(self.job.folder / "preempted.json")
        say(f"looksam tpu: {self.job.slice} works at {self.job.name}; all hosts' logs: {logs}")
        script = train_script(self.settings, self.code, self.job.command)
        work = self.slice.slices.on_hosts(self.job.slice, script, logs)
        try:
            code = self.follow(work, logs)
        finally:
            end(work)
        if code == 0:
            return 0
        self.check_whole(logs)
        if text_of(self.job.folder / "preempted.json") not in (None, before):
            raise Lost("a host was told to leave; the training is saved")
        check_connection(code, logs)
        return code

    def set_up(self, logs: Path) -> None:
        """Run the setup on every host, and compare what is installed there."""
        code = self.on_hosts(versions_script(self.settings, self.code), logs, SECONDS_TO_SET_UP)
        if code != 0:
            self.check_whole(logs)
            check_connection(code, logs)
            said = (text_of(logs / "0.log") or "").strip().splitlines()[-3:]
            raise UserError(
                f"{self.settings.setup} failed on a host of {self.job.slice}: {' / '.join(said)}; all hosts' "
                f"logs: {logs}"
            )
        check_versions(logs, self.job.shape.hosts)

    def follow(self, work: Work, logs: Path) -> int:
        """Show the first host's log until the work ends; Lost where it does not go on."""
        tail, pulse = Tail(logs / "0.log"), Pulse(self.job.signs, self.settings.stall_minutes * 60)
        try:
            while (code := self.stops.code_of(work, self.settings.poll_seconds)) is None:
                tail.show()
                check_spent(self.settings)
                # a look that fails says nothing: the training is at work as long as it says so
                with suppress(CloudError):
                    found = self.slice.slices.find(self.job.slice)
                    if found is None or found.state != "ACTIVE":
                        raise refusal(found)
                if pulse.is_still():
                    raise Lost(f"no progress for {self.settings.stall_minutes:g} minutes")
            return code
        except (Stopped, Spent) as over:
            say(f"looksam tpu: {over}: the training saves and leaves")
            self.save(work, logs)
            raise
        finally:
            tail.show()

    def save(self, work: Work, logs: Path) -> None:
        """Ask the training to save and leave, and give it time for that; a second signal takes it away."""
        self.stops.asked = None
        asking = self.slice.slices.on_hosts(self.job.slice, leave_script(), logs / "leave")
        with suppress(Stopped):
            self.stops.code_of(work, SECONDS_TO_LEAVE)
        end(asking)

    def check_whole(self, logs: Path) -> None:
        """Lost unless the slice is ACTIVE and every host answers."""
        self.slice.check_active()
        if self.on_hosts("true", logs / "answer", SECONDS_TO_ANSWER) != 0:
            raise Lost("a host does not answer")

    def on_hosts(self, script: str, logs: Path, seconds: float) -> int:
        """The exit code of a script on all hosts; Lost where it takes longer."""
        work = self.slice.slices.on_hosts(self.job.slice, script, logs)
        try:
            code = self.stops.code_of(work, seconds)
        finally:
            end(work)
        if code is None:
            raise Lost(f"a host takes longer than {seconds:g} s")
        return code


def check_connection(code: int, logs: Path) -> None:
    """Dropped where it was the way to the hosts that failed, and not what they ran."""
    if code == NO_CONNECTION or is_passing(text_of(logs / "gcloud.log") or ""):
        raise Dropped("the connection to a host ended")
