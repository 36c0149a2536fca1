"""Traces of training: loss over epochs, what refreshes found of g_v, and how sharp a minimum it ended in."""

from looksam.drawing import Drawing, drawing
from looksam.groups import groups
from looksam.panels import Line, Look, Panel, Point
from looksam.series import Series
from looksam.tables import Table

# short, to stand above a panel; `looksam.diagnostics` says in full what each is
FOUND = {
    "g_v_over_g": "‖g_v‖ / ‖g‖",
    "cos_g_v_old": "Cosine of successive g_v",
    "reuse_gain": "Cosine gained by reuse",
}


def training_curves(table: Table) -> Drawing | None:
    """The training loss over epochs, a panel a network."""
    return drawing("Training loss over epochs", over_epochs(table, "loss", "Training loss"))


def over_epochs(table: Table, column: str, title: str) -> list[Panel]:
    """A panel a network of a column of the curves."""
    return [
        Panel(
            f"{title}, {name}",
            "epoch",
            "epoch",
            [Line(label, look, points(one, column)) for label, look, one in members],
        )
        for name, members in groups(table)
    ]


def points(one: Series, column: str) -> list[Point]:
    """The rows of a curve that have such a number."""
    rows = zip(one.curve["epoch"], one.curve[column], strict=True)
    return [Point(epoch, y) for epoch, y in rows if epoch is not None and y is not None]


def premise(table: Table) -> Drawing | None:
    """What refreshes found over training, of methods that reuse g_v: the paper takes it to change slowly."""
    found = list(groups(table))
    reusing = [
        (f"{label}, {name}" if len(found) > 1 else label, one)
        for name, members in found
        for label, _, one in members
        if one.descent == "g_v" and one.k
    ]
    panels = [
        Panel(
            title,
            "epoch",
            "epoch",
            [Line(label, Look.of("look", i), points(one, column)) for i, (label, one) in enumerate(reusing)],
        )
        for column, title in FOUND.items()
    ]
    return drawing(
        "The premise of reuse over training: how large g_v is, and how near the one before", panels
    )


def sharpness(table: Table) -> Drawing | None:
    """Accuracy against the sharpness of the minimum, a panel a network."""
    panels = [
        Panel(
            f"Top-1 accuracy, %, {name}",
            "rise of the loss at distance 0.05",
            "a rise of",
            [
                Line(
                    label,
                    look,
                    [
                        Point(
                            one.sharpness,
                            one.top1 * 100,
                            None if one.top1_sd is None else one.top1_sd * 100,
                            one.sharpness_sd,
                        )
                    ],
                    is_joined=False,
                )
                for label, look, one in members
                if one.sharpness is not None and one.top1 is not None
            ],
        )
        for name, members in groups(table)
    ]
    return drawing("Top-1 accuracy against the sharpness of the minimum", panels)
