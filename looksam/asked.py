"""What the evidence study asks about, by the key `evidence` of config/claims.yaml."""

from collections.abc import Mapping
from typing import Any


def asked_about(evidence: Mapping[str, Any]) -> list[str]:
    """The methods that it names, some more than once."""
    named = (evidence[key] for key in ("primary", "alpha_rules", "controls", "layerwise"))
    several = [method for one in named for method in one.values()]
    return [evidence["target"], evidence["base"], *evidence["secondary"], *several]
