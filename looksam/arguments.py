"""Numbers that may stand on the command line, for argparse, which says what is wrong with others."""

import argparse


def count(text: str) -> int:
    """A whole number from 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is wanted, got {text}")
    return number


def natural(text: str) -> int:
    """A whole number from 0 that seeds numpy."""
    if not 0 <= (number := int(text)) < 2**32:
        raise argparse.ArgumentTypeError(f"0 to {2**32 - 1} is wanted, got {text}")
    return number
