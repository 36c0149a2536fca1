"""The one slice of a run: found or created, waited for, and deleted until it is gone.

Its name is the run's, so that a launcher that was killed and started again finds what it had made: it goes on
with a slice that is whole or coming, and deletes one that is not.
"""

import time
from contextlib import suppress

from looksam.errors import UserError
from looksam.slices import COMING, CloudError, Slice, Slices
from looksam.stops import Stops
from looksam.tpu_budget import note
from looksam.tpu_progress import say
from looksam.tpu_settings import Settings, Shape

# looks in a row that may fail, as while a network is away or credentials are renewed
FAILED_LOOKS = 10
SECONDS_TO_DELETE = 1800
# what gcloud says where the same call may do later
PASSING = ("UNAVAILABLE", "INTERNAL", "took longer")


class Lost(Exception):
    """The slice cannot go on; a new one may."""


class HeldSlice:
    """The slice of a name and shape, and the pauses between two looks at it."""

    def __init__(self, name: str, shape: Shape, settings: Settings, stops: Stops) -> None:
        self.name, self.shape, self.settings, self.stops = name, shape, settings, stops
        self.slices = Slices(settings)
        self.waited = 0.0
        self.is_ours = False  # from here on there may be one

    def obtain(self) -> None:
        """Have the slice ACTIVE; Lost where it does not come to that, UserError where no other would."""
        self.stops.raise_asked()
        found = self.look()
        self.is_ours = True
        if found and (found.type != self.shape.type or found.state not in (*COMING, "ACTIVE")):
            say(f"looksam tpu: {found.name} is there, a {found.type}, {found.state}; it is deleted first")
            self.remove()
            found = None
        if found:
            say(f"looksam tpu: {found.name} is there, {found.state}; goes on with it")
        else:
            self.create()
        while not (found and found.state == "ACTIVE"):
            self.wait()
            found = self.look()
            if found is None or found.state not in (*COMING, "ACTIVE"):
                raise refusal(found)
        note("began", self.name, self.shape.chips)

    def create(self) -> None:
        """Ask for the slice; Lost where Google cannot serve now, CloudError where it does not want to."""
        kind = "spot" if self.settings.spot else "not spot"
        say(f"looksam tpu: creates {self.name}: {self.shape.type} in {self.settings.zone}, {kind}")
        try:
            self.slices.create(self.name, self.shape)
        except CloudError as error:
            if not is_passing(str(error)):
                raise
            self.wait()
            raise Lost(str(error)) from error

    def wait(self) -> None:
        """Pause before the next look for a slice; UserError where all such pauses come to too much."""
        self.stops.pause(self.settings.poll_seconds)
        self.waited += self.settings.poll_seconds
        if self.waited > self.settings.wait_hours * 3600:
            raise UserError(
                f"no {self.shape.type} was to be had in {self.settings.wait_hours:g} hours (wait_hours); "
                "wait longer, name another type or zone, or take slices that are not spot"
            )

    def look(self) -> Slice | None:
        """The slice as it is; CloudError only after several looks that failed."""
        for _ in range(FAILED_LOOKS - 1):
            try:
                return self.slices.find(self.name)
            except CloudError as error:
                # credentials that were good may be renewed; those that never were are told at once
                if not (self.is_ours or is_passing(str(error))):
                    raise
            self.stops.pause(self.settings.poll_seconds)
        return self.slices.find(self.name)

    def check_active(self) -> None:
        """Lost unless the slice is ACTIVE."""
        found = self.look()
        if found is None or found.state != "ACTIVE":
            raise refusal(found)

    def remove(self) -> None:
        """Delete the slice, and return once it is gone: until then its name and quota are taken."""
        began, failures = time.monotonic(), 0
        while True:
            try:
                found = self.slices.find(self.name)
                if found is None:
                    # on a full disk the slice counts to its deadline, and the training as done
                    with suppress(OSError):
                        note("ended", self.name, self.shape.chips)
                    return
                if found.state != "DELETING":
                    self.slices.delete(self.name)
            except CloudError:
                failures += 1
                if failures == FAILED_LOOKS:
                    raise
            if time.monotonic() - began > SECONDS_TO_DELETE:
                raise CloudError(f"after {SECONDS_TO_DELETE} s of deletion {self.name} is still there")
            time.sleep(self.settings.poll_seconds)

    def is_there(self) -> bool:
        """The queue has a slice of this name, as far as it can be asked."""
        with suppress(CloudError):
            return self.slices.find(self.name) is not None
        return False

    def leave_nothing(self) -> None:
        """Delete the slice where there is one; where that cannot be done, say so and raise nothing.

        A training that is done must not count as failed for it: Snakemake would throw its results away.
        """
        if not self.is_ours and not self.is_there():
            return
        try:
            self.remove()
            say(f"looksam tpu: {self.name} is deleted")
        except CloudError as error:
            say(
                f"looksam tpu: {self.name} MAY STILL BE THERE: {error}. Run `looksam tpu sweep`; if nobody "
                f"does, it deletes itself {self.settings.deadline_hours:g} hours after its start"
            )


def is_passing(said: str) -> bool:
    """Whether gcloud's words tell of what may be over at the next call."""
    return any(word in said for word in PASSING)


def refusal(found: Slice | None) -> Exception:
    """What it means that a slice is not ACTIVE nor on the way: Lost, or UserError where no other would be."""
    if found and "quota" in found.why.lower():
        return UserError(f"{found.name} is {found.state}: {found.why}")
    return Lost(f"it is {found.state} {found.why}".strip() if found else "it is gone")
