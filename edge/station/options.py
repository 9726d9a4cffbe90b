"""The options of `edgebee classify`: the runner's own, and those of cameras and folders.

One table serves the command, its shell completion and `deploy --service`, which passes options
on to the device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = ["GROUPS", "PARAMS", "SHARE", "SIZE", "ClassifyOptions", "parse_options"]

PROGRAM = "edgebee classify"


@dataclass(frozen=True)
class ClassifyOptions:
    """What `edgebee classify` is to do; None stands for the default."""

    photos: tuple[str, ...] = ()
    """Files, folders, patterns or `-`."""
    model: Path | None = None
    top_k: int | None = None
    threshold: float | None = None
    normalize: str | None = None
    size: tuple[int, int] | None = None
    """Height and width of the photos, for a model that takes any."""
    threads: int | None = None
    format: str = "text"
    """`text`, `json` or `csv`."""
    selftest: bool = False
    camera: str | None = None
    """A camera's number, device or address, or a video file; "" is the first camera."""
    every: float | None = None
    """Seconds between two frames."""
    frame_size: tuple[int, int] | None = None
    """Width and height, in pixels."""
    save_dir: Path | None = None
    watch: Path | None = None
    state: Path | None = None
    count: int | None = None
    max_megapixels: int | None = None
    sort: bool = False
    move_to: Path | None = None
    annotate: Path | None = None

    @property
    def source(self) -> str:
        """Where photos come from: `photos`, `camera` or `watch`; or `selftest`."""
        return self._sources()[0]

    def _sources(self) -> list[str]:
        given = {
            "photos": bool(self.photos),
            "camera": self.camera is not None,
            "watch": self.watch is not None,
            "selftest": self.selftest,
        }
        return [name for name, is_given in given.items() if is_given]

    def check(self) -> None:
        """Raise click.UsageError for options that do not go together."""
        sources = [_flag(name) for name in self._sources()]
        if not sources:
            raise click.UsageError("name photos, or take one of --camera, --watch, --selftest")
        if len(sources) > 1:
            raise click.UsageError(f"{' and '.join(sources)}: take one of them")
        for option, goes_with in _GOES_WITH.items():
            if getattr(self, option) not in (None, False) and self.source not in goes_with:
                allowed = " or ".join(map(_flag, goes_with))
                raise click.UsageError(f"--{option.replace('_', '-')} goes with {allowed}")


_GOES_WITH = {
    "every": ("camera",),
    "frame_size": ("camera",),
    "save_dir": ("camera",),
    "state": ("watch",),
    "count": ("camera", "watch"),
    "sort": ("photos",),
    "move_to": ("photos", "watch"),
    "annotate": ("photos", "watch", "camera"),
}
"""Option -> the sources of photos that it goes with."""


def _flag(source: str) -> str:
    return "PHOTO" if source == "photos" else f"--{source}"


class _Share(click.FloatRange):
    """A number from 0 to 1; click itself lets `nan` pass."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's."""
        number = super().convert(value, param, ctx)
        if number != number:  # noqa: PLR0124 - only NaN differs from itself
            self.fail(f"{value} is not between 0 and 1", param, ctx)
        return number


class _FrameSize(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Width and height, as `1280x960`."""

    name = "WIDTHxHEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`(width, height)`, in pixels."""
        found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)
        if not found:
            self.fail(f"{value!r} is not like 1280x960", param, ctx)
        return int(found[1]), int(found[2])


class _Folder(click.Path):
    """A folder that need not exist here: `deploy --service` means those of the device."""

    name = "directory"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Folders only."""
        return [CompletionItem(incomplete, type="dir")]


class _Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Height and width, as `240x320`, or one number for both."""

    name = "HEIGHTxWIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`(height, width)`, in pixels."""
        from edgebee.edge.classify import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SHARE = _Share()
SIZE = _Size()
_FILE = click.Path(path_type=Path)
_FOLDER = _Folder(path_type=Path)
_COUNT = click.IntRange(min=1)


def _option(*flags: str, text: str, **settings: Any) -> click.Option:
    """An option whose text says what happens without it."""
    return click.Option(flags, help=text, show_default=False, **settings)


# The lone `classify.py` has the first nine in the same words, which a test compares. They are
# not imported from there: it loads NumPy, which `--help` and shell completion do not wait for.
PARAMS: tuple[click.Parameter, ...] = (
    click.Argument(["photos"], nargs=-1, metavar="[PHOTO]...", type=click.Path()),
    _option(
        "-m",
        "--model",
        type=_FILE,
        metavar="FILE",
        text="The .tflite file. [default: the newest int8 model in ./artifacts, else the one that "
        "ships]",
    ),
    _option(
        "-k",
        "--top-k",
        type=_COUNT,
        metavar="N",
        text="How many labels to list. [default: 1; all with --format json or csv]",
    ),
    _option(
        "-t",
        "--threshold",
        type=SHARE,
        metavar="SCORE",
        text="A photo whose best score among the classes is lower is labelled `unknown`. "
        "[default: the model's own, or 0]",
    ),
    _option(
        "--normalize",
        type=click.Choice(["0..255", "0..1", "-1..1"]),
        text="Range of the values that the model takes for pixels. [default: as its metadata says, "
        "else 0..255]",
    ),
    _option(
        "--size",
        type=SIZE,
        metavar="HEIGHTxWIDTH",
        text="Size of the photos for a model that takes any, as 224 or 240x320. [default: the "
        "model's]",
    ),
    _option(
        "--threads",
        type=_COUNT,
        metavar="N",
        text="How many photos to work on at a time, at most one per CPU. [default: one per CPU]",
    ),
    _option(
        "--format",
        type=click.Choice(["text", "json", "csv"]),
        default="text",
        text="Print results as text, json (JSON Lines) or csv. [default: text]",
    ),
    _option("--json", is_flag=True, text="The same as --format json."),
    _option(
        "--selftest",
        is_flag=True,
        text="Check the model on this device with the golden samples inside it.",
    ),
    _option(
        "--camera",
        text="Classify frames of a live camera: the Raspberry Pi's own or the first one if SOURCE "
        "is left out, a number, a device, the address of a stream, or a video file.",
        is_flag=False,
        flag_value="",
        metavar="[SOURCE]",
    ),
    _option(
        "--every",
        text="Time between two frames; 0 takes them as fast as they can be classified. "
        "[default: 1]",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
    ),
    _option(
        "--frame-size",
        text="Size of the frames; a camera may choose a similar size. [default: the camera's own]",
        type=_FrameSize(),
        metavar="WIDTHxHEIGHT",
    ),
    _option("--save-dir", text="Keep the frames in DIR.", type=_FOLDER, metavar="DIR"),
    _option(
        "--watch",
        text="Classify photos as they arrive in DIR and below it, each once.",
        type=_FOLDER,
        metavar="DIR",
    ),
    _option(
        "--state",
        text="File that remembers which photos of --watch have been classified. [default: one in "
        "~/.local/state/edgebee for each DIR]",
        type=_FILE,
        metavar="FILE",
    ),
    _option(
        "--count",
        text="End after N results of --camera or --watch. [default: never]",
        type=_COUNT,
        metavar="N",
    ),
    _option(
        "--max-megapixels",
        text="Refuse photos that would hold more pixels in memory. [default: 25]",
        type=_COUNT,
        metavar="N",
    ),
    _option(
        "--sort",
        text="Print the results by label, the best scores first, when all photos are classified.",
        is_flag=True,
    ),
    _option("--move-to", text="Move each photo to DIR/LABEL.", type=_FOLDER, metavar="DIR"),
    _option(
        "--annotate",
        text="Write each photo to DIR with its prediction drawn on it.",
        type=_FOLDER,
        metavar="DIR",
    ),
)
"""The command's parameters, in the order of its help."""

GROUPS = {
    "Model and results": (
        "model",
        "top_k",
        "threshold",
        "normalize",
        "size",
        "threads",
        "format",
        "json",
        "selftest",
    ),
    "Live camera": ("camera", "every", "frame_size", "save_dir"),
    "Folder that photos arrive in": ("watch", "state"),
    "Camera or folder": ("count",),
    "What happens with the photos": ("max_megapixels", "sort", "move_to", "annotate"),
}
"""Heading -> names of parameters."""


def make_options(*, json: bool, **params: Any) -> ClassifyOptions:
    """The values of `PARAMS` as options that go together.

    Raises:
        click.UsageError: they do not.
    """
    if json:
        params["format"] = "json"
    options = ClassifyOptions(**params)
    options.check()
    return options


def parse_options(arguments: Sequence[str]) -> ClassifyOptions:
    """Options of `edgebee classify`, from the words of a command line.

    Raises:
        click.UsageError: they are wrong, or do not go together.
    """
    command = click.Command("classify", params=list(PARAMS))
    context = command.make_context(PROGRAM, list(arguments))
    with context:
        return make_options(**context.params)
