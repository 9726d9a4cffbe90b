"""The result of a check of a machine or a model, with the command that fixes it."""

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
"""A model will not run, or not correctly; a warning is for what makes it slow or could fail."""


@dataclass(frozen=True)
class Problem:
    """One check and its result."""

    name: str
    status: Status
    text: str
    remedy: str = ""
    """The command that fixes it; empty where there is no problem."""


def render(problems: Iterable[Problem]) -> str:
    """A line for each check, and below those that failed the command that fixes it."""
    lines = []
    for problem in problems:
        lines.append(escape_control_chars(f"{problem.status:<8} {problem.name:<12} {problem.text}"))
        if problem.remedy:
            lines.append(escape_control_chars(f"{'':<21} -> {problem.remedy}"))
    return "\n".join(lines)
