"""Shadow steps: how g_v changes with batch, lag and learning rate, on steps of a run that are taken back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from looksam.errors import UserError
from looksam.files import replace_file
from looksam.history import finite
from looksam.images import Data
from looksam.looks import Looks, Seen, drawn, gain, refreshed
from looksam.refresh import Refresh
from looksam.replay import kept_buffers, random_states, replayed
from looksam.shadow_rows import FILE, write
from looksam.shadow_settings import check_shadow, step_of
from looksam.sharpness import SharpnessAware
from looksam.training import Training
from looksam.vector import cosine, norm, ratio

Row = dict[str, Any]


class Shadow:
    """Called before each step of a training; at its phases it notes rows of SHADOW in it.

    For each divisor of the learning rate, from the same weights: a refresh, as many plain steps as the
    method's k says, a refresh on batch A and a look at batch B, which is lag 0; then, for each lag, a plain
    step, a look at A and one at a batch C that is new. No other batch has images of A. Each step goes along
    a g that was found anyway, of the last batch but A, and so costs no pass of its own: a branch takes k + 5
    passes, and 4 a lag. Afterwards all is as it was, to the bit, and the time is not the training's.
    """

    def __init__(self, training: Training, data: Data) -> None:
        self.data, self.asked = data, training.settings["shadow"]
        check_shadow(training.settings, len(data.labels), "shadow")
        if training.ranks.size > 1 or training.micro_batches > 1:
            raise UserError(
                f"shadow steps are for one rank and whole batches, got {training.ranks.size} ranks with "
                f"{training.micro_batches} micro-batches each; start one rank and leave out "
                "micro_batch_size, or shadow"
            )

    def __call__(self, training: Training) -> None:
        """Measure at those phases to which the next step is the nearest."""
        step = training.history.steps
        phases = [phase for phase in self.asked["phases"] if step_of(phase, training.steps) == step]
        if not phases:
            return
        if training.ranks.device.type != "cpu":
            # what the training has asked of the device is its own time
            torch.accelerator.synchronize(training.ranks.device)
            training.count_seconds()
        with taken_back(training) as go_back:
            for phase in phases:
                for divisor in self.asked["lr_divisors"]:
                    go_back()
                    for group in training.optimizer.param_groups:
                        group["lr"] /= divisor
                    at = {"phase": float(phase), "step": step, "lr_divisor": float(divisor)}
                    training.shadow += [at | row for row in self.branch(training)]
        training.count_seconds(is_training=False)

    def write(self, training: Training, folder: Path) -> None:
        """Write what was found into the folder of the run."""
        replace_file(folder / FILE, lambda path: write(training.shadow, path))

    def branch(self, training: Training) -> Iterator[Row]:
        """The rows of the lags, from the present weights on, which move."""
        settings, method = training.settings, training.sharpness.method
        k, lags = method.k, self.asked["lags"]
        # A is 0, B is 1, the refresh before is 2, the plain steps after it up to k + 1, then C of each lag
        of = (settings["seed"], training.history.steps)
        batches = drawn(len(self.data.labels), settings["batch_size"], k + 2 + lags, *of)
        probe = SharpnessAware(training.model, replace(method, k=1, start=0, descent="g_s", alpha=0.0))
        looks = Looks(training, self.data, probe, batches)
        before = looks.both(2)
        old = refreshed(looks.names, before, None)
        looks.step_along(before.g)
        for number in range(3, k + 2):
            looks.step_along(looks.first(number))
        a, c = looks.both(0), looks.both(1)
        last = refreshed(looks.names, a, old)
        yield self.row(0, c, last, noise=cosine(a.g_v, c.g_v))
        for lag in range(1, lags + 1):
            looks.step_along(c.g)
            now, c = looks.both(0), looks.both(k + 1 + lag)
            yield self.row(lag, c, last, drift=cosine(now.g_v, a.g_v), reuse=cosine(c.g_v, a.g_v))

    def row(self, lag: int, new: Seen, last: Refresh, **cosines: Tensor) -> Row:
        """A row without its phase: the cosines, and what was found on the new batch; one transfer."""
        found = cosines | {
            "norm_g": norm(new.g),
            "g_v_over_g": ratio(norm(new.g_v), norm(new.g)),
            "cos_g_g_s": cosine(new.g, new.g_s),
        }
        gains = [gain(new, last, alpha) for alpha in self.asked["alphas"]]
        values = torch.stack([*found.values(), *gains]).double().tolist()
        numbers = [finite(x) for x in values]
        named = zip(self.asked["alphas"], numbers[len(found) :], strict=True)
        none = dict.fromkeys(("noise", "drift", "reuse"))
        return {
            "lag": lag,
            **none,
            **dict(zip(found, numbers, strict=False)),
            "gains": [{"alpha": str(alpha), "gain": x} for alpha, x in named],
        }


@contextmanager
def taken_back(training: Training) -> Iterator[Callable[[], None]]:
    """Gives what puts network and optimizer back to where they are now; after the body all of them are.

    Random numbers and buffers that no state names, too; gradients are dropped, as the next step would do.
    """
    network, optimizer = training.network, training.optimizer
    start = deepcopy((network.state_dict(), optimizer.state_dict()))

    def go_back() -> None:
        network.load_state_dict(start[0])
        # copied, because an optimizer goes on in the tensors that it is given
        optimizer.load_state_dict(deepcopy(start[1]))

    with replayed(random_states({training.ranks.device})), kept_buffers(network):
        try:
            yield go_back
        finally:
            go_back()
            training.model.zero_grad()
