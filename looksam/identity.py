"""Identity: what names a run, and what the code that decides it is told of its settings."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def digest(content: Row) -> str:
    """Eight hexadecimal digits that name a content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def words(settings: Row) -> frozenset[str]:
    """Every word in the settings that may name a row of a table of choices, and the names of their parts."""
    parts = {key: part for key, part in settings.items() if isinstance(part, dict)}
    inner = [value for part in parts.values() for value in part.values()]
    listed = [value for values in inner if isinstance(values, list) for value in values]
    values = [*parts, *settings.values(), *inner, *listed]
    return frozenset(word for value in values if isinstance(value, str) for word in value.split("+"))
