"""The options of `edgebee classify`: which go together, and that `classify.py` has the same."""

import subprocess
import sys

import click
import pytest

options = pytest.importorskip("edgebee.edge.station.options", reason="needs edgebee")
from edgebee.edge import classify  # noqa: E402

SHARED = set(options.GROUPS["Model and results"])


def click_options():
    return {one.name: one for one in options.PARAMS if isinstance(one, click.Option)}


def lone_options():
    """Those of `classify.py`, by the name of the long flag."""
    actions = classify.make_parser("classify.py")._actions
    return {
        action.option_strings[-1].removeprefix("--").replace("-", "_"): action
        for action in actions
        if action.option_strings and action.dest != "help"
    }


def test_the_lone_runner_has_the_shared_options_in_the_same_words():
    ours, lone = click_options(), lone_options()
    assert set(lone) == SHARED
    for name, action in lone.items():
        option = ours[name]
        assert (option.opts, option.help) == (action.option_strings, action.help), name
        if action.choices:
            assert tuple(option.type.choices) == tuple(action.choices)
        elif action.nargs is None:
            assert option.metavar == action.metavar, name


def test_every_option_is_listed_under_one_heading():
    grouped = [name for names in options.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(click_options())


def test_every_help_text_is_a_sentence_that_tells_the_default():
    for option in click_options().values():
        sentence, _, default = option.help.partition(" [default: ")
        assert sentence[0].isupper(), option.name
        assert sentence.endswith("."), option.name
        flag = option.is_flag or option.multiple
        no_default = {"camera", "watch", "save_dir", "move_to", "annotate"}  # off without it
        assert flag or option.name in no_default or default.endswith("]"), option.name


def test_help_loads_no_numpy():
    code = (
        "import sys, edgebee.commands.classify as page; "
        "page.command.get_help(page.command.make_context('x', [], resilient_parsing=True)); "
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_given_is_left_to_the_default():
    assert options.parse_options(["a.jpg"]) == options.ClassifyOptions(photos=("a.jpg",))


@pytest.mark.parametrize(
    ("arguments", "camera"),
    [(["--camera"], ""), (["--camera", "--every", "2"], ""), (["--camera", "1"], "1")],
)
def test_a_camera_may_be_named(arguments, camera):
    parsed = options.parse_options(arguments)
    assert (parsed.camera, parsed.source) == (camera, "camera")


def test_json_is_a_format():
    assert options.parse_options(["a.jpg", "--json"]).format == "json"
    assert options.parse_options(["a.jpg", "--format", "csv"]).format == "csv"


@pytest.mark.parametrize("program", ["classify.py", "edgebee classify"])
def test_a_range_that_begins_with_a_minus_is_no_option(program, monkeypatch):
    if program == "edgebee classify":
        assert options.parse_options(["a.jpg", "--normalize", "-1..1"]).normalize == "-1..1"
    else:
        taken = []
        monkeypatch.setattr(classify, "run_command", lambda work: taken.append(work) or 0)
        assert classify.main(["a.jpg", "--normalize", "-1..1"]) == 0
        assert len(taken) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name photos, or take one of --camera, --watch, --selftest"),
        (["x.jpg", "--watch", "d"], "PHOTO and --watch: take one of them"),
        (["--selftest", "--camera"], "--camera and --selftest: take one of them"),
        (["x.jpg", "--every", "1"], "--every goes with --camera"),
        (["x.jpg", "--count", "1"], "--count goes with --camera or --watch"),
        (["--watch", "d", "--save-dir", "e"], "--save-dir goes with --camera"),
        (["--camera", "--move-to", "d"], "--move-to goes with PHOTO or --watch"),
        (["--watch", "d", "--sort"], "--sort goes with PHOTO"),
        (["--camera", "--state", "f"], "--state goes with --watch"),
        (["--selftest", "--annotate", "d"], "--annotate goes with PHOTO or --watch or --camera"),
        (["--camera", "--every", "-1"], "-1.0 is not in the range x>=0"),
        (["--camera", "--count", "0"], "0 is not in the range x>=1"),
        (["--camera", "--frame-size", "big"], "'big' is not like 1280x960"),
        (["x.jpg", "-t", "7"], "7.0 is not in the range 0<=x<=1"),
        (["x.jpg", "-t", "nan"], "nan is not between 0 and 1"),
        (["x.jpg", "-k", "0"], "0 is not in the range x>=1"),
        (["x.jpg", "--jsno"], "No such option"),
    ],
    ids=" ".join,
)
def test_wrong_options_are_a_usage_error(arguments, message):
    with pytest.raises(click.UsageError) as caught:
        options.parse_options(arguments)
    assert message in caught.value.format_message()


def test_the_shell_completes_the_options():
    from click.shell_completion import ShellComplete

    from edgebee.commands.classify import command

    completer = ShellComplete(command, {}, "classify", "_CLASSIFY_COMPLETE")
    assert [one.value for one in completer.get_completions([], "--th")] == [
        "--threshold",
        "--threads",
    ]
    assert [one.value for one in completer.get_completions(["--format"], "c")] == ["csv"]
    assert [one.type for one in completer.get_completions([], "pho")] == ["file"]
    assert [one.type for one in completer.get_completions(["--watch"], "arr")] == ["dir"]
