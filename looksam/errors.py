"""What ends a command in one line: a user's mistake, or a signal that asks a training to leave."""


class UserError(ValueError):
    """A mistake in config, data or command line; the command line prints its text without a traceback."""


class Preempted(Exception):
    """A training was saved and left because a signal asked for it; the same command goes on with it."""
