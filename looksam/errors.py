"""What ends a command in one line: a user's mistake, or a signal that asks a training to leave."""


class UserError(ValueError):
    """A mistake in config, data or command line; the command line prints its text without a traceback."""
