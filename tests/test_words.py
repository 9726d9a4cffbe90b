"""Retired words stay out of messages, help, docstrings, the report page and the documentation.

CONTRIBUTING.md has the words to use instead. What is searched is what people read: string literals
of the product, docstrings, Markdown pages and the report's template. Names of modules, classes and
functions are held to a list of their own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("src/edgebee", "train", "convert", "edge", "benchmarks", "examples", "docs")

PAGES = ("*.md", "docs/*.md", "benchmarks/report/*.j2")

RETIRED = {
    r"amiss": "a problem",
    r"in vain": "fails",
    r"askew": "misaligned",
    r"anew": "again",
    r"forthwith": "at once",
    r"damaged? view\w*": "corrupted image",
    r"undamaged": "clean",
    r"damaged (?:photos?|images?|errors)": "corrupted images",
    r"told": "distinguished, reported",
    r"looks at|looked at": "Grad-CAM",
    r"harden(?:ed|ing|s)?": "distilled, distillation",
    r"lessons?": "distillation example",
    r"held to (?:the|its) features": "feature distillation loss",
    r"rungs?": "fallback",
    r"climb(?:s|ed|ing)?": "fallback",
    r"ladder": "fallback",
    r"temperature module": "calibration",
    r"no numbers": "NaN or infinite",
    r"nineteen times in twenty": "95 % confidence interval",
    r"equal to the bit": "bit-identical",
    r"off by": "max. difference",
    r"what is taken for what": "confusion matrix",
    r"what was taken for what": "confusion matrix",
    r"19 of 20": "95th percentile",
    r"lit is what counted": "regions that drove the prediction",
    r"was disturbed": "noisy",
    r"by turns|in turn|took turns": "interleaved",
    r"pixels a side": "input size in pixels",
    r"views a step": "batch size",
    r"(?:photos?|drawings?|answers?|predictions?|of \d+) (?:right|wrong)": "correct, incorrect",
    r"(?:right|wrong) (?:answers?|predictions?|labels?|of \d+)": "correct, incorrect",
    r"(?:gets?|got|has|had) (?:\S+ ){0,5}(?:right|wrong)": "correct, incorrect",
    r"before they are believed": "Check a dataset for problems",
    r"run for ever": "Install and start as a systemd service",
    r"proves itself": "self-contained, verified",
    r"a command to paste": "the command that fixes it",
    r"without a trace": "completely",
    r"mend(?:s|ed|ing)?": "fix",
}
"""Pattern of whole words, in any case -> what to write instead."""

RETIRED_NAMES = {
    # types
    "Told", "Look", "Here", "Done", "Finding", "Lesson", "Rung", "Origin", "Absent", "Against",
    "Swept",
    # functions
    "tell", "say", "complain", "whole_folder", "write_together", "write_through", "claim_folder",
    "usable_cores", "find_photos", "quiet_decoders", "printable",
    # modules
    "inbox", "album", "field", "trial", "places", "wording", "views", "rounding", "hardening",
    "held_out",
}  # fmt: skip

ALLOWED: dict[tuple[str, str], str] = {
    ("CONTRIBUTING.md", ""): "its table names the retired words beside those we use"
}
"""(File, words) -> why they may stand there; no words: the whole file."""

PURPOSE = "the right answer on a Raspberry Pi"
"""What edgebee is for, in one sentence that stands in many places."""


@cache
def sources() -> dict[str, ast.Module]:
    """The product's files, by their path from the repository's root."""
    files = (file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text("utf-8"))
        for file in sorted(files)
    }


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every string: literals, docstrings, the fixed parts of f-strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@cache
def texts() -> tuple[tuple[str, int, str], ...]:
    """File, line and text, spaces evened, of everything that people read."""
    return tuple(
        (file, line, " ".join(text.split()).replace(PURPOSE, "")) for file, line, text in _texts()
    )


def _texts() -> Iterator[tuple[str, int, str]]:
    for file, tree in sources().items():
        for line, text in literals(tree):
            yield file, line, text
    pages = [page for kind in PAGES for page in ROOT.glob(kind)]
    for page in sorted(pages):
        # Whole paragraphs, since sentences are broken into lines anywhere.
        line = 1
        for paragraph in page.read_text("utf-8").split("\n\n"):
            yield page.relative_to(ROOT).as_posix(), line, paragraph
            line += paragraph.count("\n") + 2


@pytest.mark.parametrize("pattern", RETIRED)
def test_a_retired_word_is_not_used(pattern):
    words = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)
    found = [
        f"{file}:{line}: {match[0]!r} -> {RETIRED[pattern]}"
        for file, line, text in texts()
        for match in words.finditer(text)
        if not allowed(file, match[0])
    ]
    assert not found, "\n".join(found)


def allowed(file: str, words: str) -> bool:
    """Whether these words may stand in this file."""
    return (file, "") in ALLOWED or (file, words.lower()) in ALLOWED


def test_retired_names_are_not_used():
    found = [
        f"{file}:{node.lineno}: {node.name}"
        for file, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in RETIRED_NAMES
    ]
    found += [file for file in sources() if Path(file).stem in RETIRED_NAMES]
    assert not found, "\n".join(found)


def test_what_is_allowed_is_needed():
    for file, words in ALLOWED:
        assert words.lower() in " ".join((ROOT / file).read_text("utf-8").split()).lower()


@pytest.mark.parametrize(
    ("text", "retired"),
    [
        ("147 of 153 validation photos right", True),
        ("got 59 of 60 right", True),
        ("put it to the right of the photo", False),
        ("written anew", True),
        ("a manewver", False),
    ],
)
def test_the_patterns_find_whole_words(text, retired):
    found = any(re.search(rf"(?<!\w)(?:{p})(?!\w)", text, re.IGNORECASE) for p in RETIRED)
    assert found is retired
