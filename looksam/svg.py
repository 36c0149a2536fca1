"""SVG for an HTML page: its colours follow the page's, in dark mode too; same figure, same bytes."""

import io
import re
from html import escape

from matplotlib.figure import Figure

# matplotlib draws in fixed colours; in the page each follows a property of the style sheet
COLOURS = {"ink": "#1f2328", "rule": "#c9cdd2", "look": "#0b62a8", "sam": "#b4500f"}
STYLE = {
    "svg.hashsalt": "looksam",
    "svg.fonttype": "none",
    # names are text, whatever dollars they hold
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    # to find a title's place takes as long as to draw the rest
    "axes.titley": 1.03,
    "axes.edgecolor": COLOURS["rule"],
    **dict.fromkeys(("axes.titlecolor", "axes.labelcolor", "text.color"), COLOURS["ink"]),
    **{f"{axis}tick.color": COLOURS["rule"] for axis in "xy"},
    **{f"{axis}tick.labelcolor": COLOURS["ink"] for axis in "xy"},
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def as_svg(figure: Figure) -> str:
    """The figure as matplotlib writes it, with STYLE in force."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata=NO_METADATA)
    return drawn.getvalue()


def inline(svg: str, title: str, words: str) -> str:
    """The SVG as an HTML page takes it: no prologue, colours from the style sheet."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<!--.*?-->|<style.*?</style>|<metadata.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    # a hundredth of a point is finer than a screen
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda found: rounded(found[0]), svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    named = f'<svg role="img" aria-label="{escape(title)}" style="stroke-linejoin: round"'
    head, body = svg.split(">", 1)
    return f"{head.replace('<svg', named)}><title>{escape(title)}</title><desc>{escape(words)}</desc>{body}"


def standalone(svg: str, style: str) -> str:
    """The SVG of `inline` as a file of its own, in the colours of the page's style sheet, dark ones too.

    On paper of its own, since whoever shows it may be dark where the reader's system is light.
    """
    colours = re.findall(
        r":root \{.*?\}|@media \(prefers-color-scheme: dark\) \{.*?\}\s*\}", style, re.DOTALL
    )[:2]
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    head, body = svg.split("</desc>", 1)
    styled = f"<style>\n{chr(10).join(colours)}\n</style>\n{paper}"
    return f"{head.replace('<svg', f'<svg {names}', 1)}</desc>\n{styled}{body}\n"


def apart(svg: str, name: str) -> str:
    """The SVG with `name` before each of its ids, for a page with others that have the same."""
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)


def rounded(places: str) -> str:
    """The attribute with two decimals at most."""
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", places)
