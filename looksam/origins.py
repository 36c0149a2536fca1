"""Origins: in which environments the runs of a table were trained, in words, without torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

# what `looksam.environment.environment` returns
ENVIRONMENT = pa.struct(
    [
        ("device", pa.string()),
        ("type", pa.string()),
        ("ranks", pa.int32()),
        ("threads", pa.int32()),
        ("torch", pa.string()),
        ("timm", pa.string()),
        ("looksam", pa.string()),
        ("commit", pa.string()),
        ("python", pa.string()),
        ("determinism", pa.string()),
    ]
)

Environment = Mapping[str, Any] | None
UNKNOWN = "not recorded"
# between the environments of a cell whose runs are from more than one
SEVERAL = " / "


class Origin(NamedTuple):
    """A run's environment in words; runs compare where all words are equal."""

    device: str
    torch: str
    timm: str
    looksam: str
    python: str
    determinism: str

    def __str__(self) -> str:
        packages = [words(field, getattr(self, field)) for field in ("torch", "timm", "looksam", "python")]
        return f"{self.device}; {', '.join(packages)}; {self.determinism}"


# by field of Origin, how several different ones are counted
COUNTED = {
    "device": "devices",
    "torch": "versions of torch",
    "timm": "versions of timm",
    "looksam": "versions of looksam",
    "python": "versions of Python",
    "determinism": "classes of determinism",
}


def origin(environment: Environment) -> Origin:
    """The environment in words; what it does not say is "not recorded"."""
    known = {key: UNKNOWN if value is None else str(value) for key, value in (environment or {}).items()}
    words = {field: known.get(field, UNKNOWN) for field in Origin._fields}
    return Origin(**{**words, "device": device(environment), "looksam": ours(environment)})


def device(environment: Environment) -> str:
    """The devices that a training ran on, such as "8 x NVIDIA H100" or "AMD EPYC, 1 thread"."""
    if environment is None or environment["device"] is None:
        return UNKNOWN
    ranks, threads = environment["ranks"], environment["threads"]
    many = f"{ranks} × " if ranks > 1 else ""
    # on an accelerator the threads only feed it
    own = f", {threads} thread{'s' if threads > 1 else ''}" if environment["type"] == "cpu" else ""
    return f"{many}{environment['device']}{own}"


def ours(environment: Environment) -> str:
    """Our version, and the commit of a checkout."""
    if environment is None:
        return UNKNOWN
    return (
        f"{environment['looksam']} ({environment['commit']})"
        if environment["commit"]
        else environment["looksam"]
    )


def differing(origins: Sequence[Origin]) -> list[str]:
    """Fields in which the origins are not all the same."""
    return [field for field in Origin._fields if len({getattr(one, field) for one in origins}) > 1]


def described(origins: Sequence[Origin], has_times: bool) -> str:
    """Where the cells of a table come from, one origin a run: one environment, or what is not the same.

    has_times: the table shows times, of which those of different devices do not compare.
    """
    if not origins:
        return ""
    differ = differing(origins)
    if not differ:
        known = origins[0].device != UNKNOWN
        return f"Trained on {origins[0]}." if known else "Where its runs were trained is not recorded."
    counts = [counted(field, [getattr(one, field) for one in origins]) for field in differ]
    shared = [words(field, getattr(origins[0], field)) for field in Origin._fields if field not in differ]
    sentences = [f"Cells come from {'; and '.join(counts)}."]
    sentences += [f"The same for all: {', '.join(shared)}."] if shared else []
    sentences += ["Times from different devices do not compare."] if has_times and "device" in differ else []
    return " ".join(sentences)


def counted(field: str, values: Sequence[str]) -> str:
    """How many different values there are, and of how many runs: "2 devices: A (3 runs), B (1 run)"."""
    runs = Counter(values)
    each = [f"{value} ({n} run{'s' if n > 1 else ''})" for value, n in runs.items()]
    return f"{len(runs)} {COUNTED[field]}: {', '.join(each)}"


def words(field: str, value: str) -> str:
    """A field of Origin and its value."""
    return (
        value if field in ("device", "determinism") else f"{'Python' if field == 'python' else field} {value}"
    )


def together(texts: Sequence[str]) -> str | None:
    """The different ones in one text; None where there is none."""
    return SEVERAL.join(dict.fromkeys(texts)) or None
