"""Columns of text for a terminal, and numbers in few characters."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines with the rows' columns under each other, the first `left` of them to the left, others right."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            text.ljust(width) if i < left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def short(number: float) -> str:
    """A number in few digits: 1,234, 12.3, 0.12, and <0.01."""
    if number >= 1000:
        return f"{number:,.0f}"
    if number >= 0.995:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.01 else "<0.01" if number > 0 else "0"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 12 min, 3.4 h, 6.5 d."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:,.1f} d"


def size(count: float) -> str:
    """Bytes as a person says them, in powers of ten as disks are sold: 345 MB, 1.2 TB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
