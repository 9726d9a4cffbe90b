"""The documentation is complete, and what it shows is real.

Every command and option has its place in the pages written by hand; every command line, path, link
and Python name in them exists.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_lines import inline_lines, problem_with, shell_lines, visible_options, walk

import edgebee

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]

GENERATED = "commands.md"
"""Made from the command line itself, so that it proves nothing."""
OURS = r"(?:src|train|convert|edge|benchmarks|tests|docs|examples|\.ci)/[\w./*-]*"


def page_id(page: Path) -> str:
    return page.name


# ------------------------------------------------------------------ commands and options


@pytest.mark.parametrize("name", [" ".join(words) for words, _ in walk()])
def test_every_command_and_option_is_documented(name):
    (command,) = [command for words, command in walk() if " ".join(words) == name]
    about = [
        text
        for page in PAGES
        if page.name != GENERATED
        and re.search(rf"edgebee {name}\b", text := page.read_text("utf-8"))
    ]
    assert about, f"no page shows `edgebee {name}`"
    missing = [
        max(option.opts, key=len)
        for option in visible_options(command)
        if not any(re.search(rf"{re.escape(opt)}\b", text) for text in about for opt in option.opts)
    ]
    assert not missing, f"no page about `edgebee {name}` names {', '.join(missing)}"


@pytest.mark.parametrize("name", [" ".join(words) for words, _ in walk()])
def test_every_option_has_a_help_text_that_is_a_sentence(name):
    (command,) = [command for words, command in walk() if " ".join(words) == name]
    assert command.help
    for option in visible_options(command):
        assert option.help, f"{option.opts[0]} says nothing"
        assert option.help.rstrip().endswith((".", ")", "]")), f"{option.opts[0]}: {option.help}"


@pytest.mark.parametrize("page", TEXTS, ids=page_id)
def test_command_lines_would_be_accepted(page):
    lines = [*shell_lines(page), *inline_lines(page)]
    refused = [f"{line}: {why}" for line in lines if (why := problem_with(line.text))]
    assert not refused, "\n".join(refused)


def study_group():
    """The click group that `python -m edgebee.benchmarks.studies` runs."""
    module = importlib.import_module("edgebee.benchmarks.studies.__main__")
    (group,) = [value for value in vars(module).values() if isinstance(value, click.Group)]
    return group


def test_studies_in_the_documentation_exist():
    named = {
        name
        for page in TEXTS
        for name in re.findall(r"edgebee\.benchmarks\.studies (\w+)", page.read_text("utf-8"))
    }
    assert len(named) > 3
    assert named <= {words[0] for words, _ in walk(study_group())}


def test_options_in_running_text_exist():
    commands = [command for _, command in (*walk(), *walk(study_group()))]
    options = [option for command in commands for option in command.params]
    exist = {opt for option in options for opt in (*option.opts, *option.secondary_opts)}
    exist |= {"--debug", "--version", "--help"}  # of `edgebee` itself
    named = {
        (page.name, option)
        for page in TEXTS
        for option in re.findall(r"`(--[\w-]+)", page.read_text("utf-8"))
    }
    assert [where for where in sorted(named) if where[1] not in exist] == []


@pytest.mark.parametrize(
    "text",
    [
        "edgebee trian",
        "edgebee train --epoch-count 5",
        "edgebee train --epochs",
        "edgebee train --epochs ten",
        "edgebee convert --quantize int7",
        "edgebee data chekc my_photos",
        "edgebee demo one two",
        "pip install . && edgebee dmeo",
    ],
)
def test_a_stale_command_line_would_be_noticed(text):
    assert problem_with(text)


def test_pages_show_enough_command_lines_to_be_worth_checking():
    shown = [line for page in TEXTS for line in shell_lines(page) if "edgebee " in line.text]
    assert len(shown) > 25


# ------------------------------------------------------------------ Python, paths, links


@pytest.mark.parametrize("page", TEXTS, ids=page_id)
def test_python_blocks_use_public_names(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        if block.startswith("--8<--"):  # an example, which is run
            continue
        tree = ast.parse(block)
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "edgebee"
        }
        assert used <= set(edgebee.__all__)


def test_the_whole_public_api_is_in_the_reference():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    documented = set(re.findall(r"^::: edgebee(?:\.\w+)*\.(\w+)$", page, re.MULTILINE))
    assert set(edgebee.__all__) - documented == {"__version__"}


def test_every_kind_of_problem_in_photos_is_explained():
    from edgebee.photos.checks import KINDS

    page = (ROOT / "docs" / "photos.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


@pytest.mark.parametrize("page", [*TEXTS, ROOT / "CHANGELOG.md", ROOT / "NOTICE"], ids=page_id)
def test_paths_exist(page):
    text = page.read_text("utf-8")
    named = {path.rstrip(".") for path in re.findall(rf"(?<![\w/.~-]){OURS}", text)}
    folders = {"train/", "val/"}  # also of a data set
    missing = [
        path
        for path in sorted(named)
        if not any(path.startswith(folder) for folder in folders) and not list(ROOT.glob(path))
    ]
    missing += [
        path
        for path in sorted(named)
        if re.match(r"train/\w+\.py", path) and not (ROOT / path).is_file()
    ]
    assert not missing


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text("utf-8")
    links = [*re.findall(r"\]\(([^)#]+)\)", text), *re.findall(r'(?:src|href)="([^"]+)"', text)]
    assert len(links) > 15
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


# ------------------------------------------------------------------ the README


def test_the_readme_begins_with_the_two_lines_that_ci_runs():
    install, tests = list(shell_lines(ROOT / "README.md"))[:2]
    assert install.text.endswith("&& edgebee demo")
    assert "python -m pytest" in tests.text


def test_the_readme_is_two_screens_with_three_pictures():
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.count("<img ") == 3
    assert len(text.splitlines()) <= 100  # a screen is some fifty lines


# ------------------------------------------------------------------ the website


@pytest.mark.slow
def test_the_website_builds_strictly_and_needs_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs", reason="needs edgebee[docs]")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in tmp_path.glob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|link)[^>]*?(?:src|href)="(https?://[^"]+)', page.read_text("utf-8")
        )
        assert fetched == [], page.name
