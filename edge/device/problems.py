"""What a look at a machine or a model found, and what to type about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edgebee.edge.classify import escape_control_chars

__all__ = ["FAILED", "OK", "WARNING", "Problem", "render"]

Status = Literal["ok", "warning", "failed"]
OK: Status = "ok"
WARNING: Status = "warning"
FAILED: Status = "failed"
"""A model will not run, or not rightly; a warning is for what makes it slow or could go wrong."""


@dataclass(frozen=True)
class Problem:
    """One thing that was looked at."""

    name: str
    status: Status
    text: str
    remedy: str = ""
    """A command to paste; empty where nothing is amiss."""


def render(findings: Iterable[Problem]) -> str:
    """A line for each finding, and below those that need it the remedy."""
    lines = []
    for finding in findings:
        lines.append(escape_control_chars(f"{finding.status:<8} {finding.name:<12} {finding.text}"))
        if finding.remedy:
            lines.append(escape_control_chars(f"{'':<21} -> {finding.remedy}"))
    return "\n".join(lines)
