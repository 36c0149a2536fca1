"""The error of a user's mistake: its text says what was got, what is allowed and what to do."""


class UserError(ValueError):
    """A mistake in config, data or command line; the command line prints its text without a traceback."""
