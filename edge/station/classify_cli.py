"""`edgebee classify`: the lone runner's options, and those for the field.

A live camera, a folder that photos arrive in, photos moved into label folders, pictures
with the answer drawn on. The lone file `classify.py` has none of this, and nothing here
says anything in other words than it does.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from edgebee.edge import classify
from edgebee.edge.classify import Classifier, ModelError, PhotoError, Prediction
from edgebee.edge.station.named_photos import photo_batches, results_with_progress, with_remedy
from edgebee.edge.tflite.structure import check_structure

__all__ = ["ArgumentParser", "main", "make_parser", "parse", "parse_options"]

ArgumentParser: TypeAlias = argparse.ArgumentParser
Result: TypeAlias = tuple[Any, Prediction | PhotoError]

_ONLY_WITH = {  # option -> the ways of working that it goes with
    "every": ("camera",), "frame_size": ("camera",), "save_dir": ("camera",),
    "state": ("watch",), "count": ("camera", "watch"),
    "sort": ("photos",), "move_to": ("photos", "watch"), "annotate": ("photos", "watch", "camera"),
}  # fmt: skip


def make_parser(prog: str | None = None) -> ArgumentParser:
    """The options of `classify.py`, and those for the field."""
    parser = classify.make_parser(prog)
    add = parser.add_argument_group("instead of photos").add_argument
    add("--camera", nargs="?", const="", metavar="SOURCE",
        help="a live camera: the Pi's own or the first (default), a number, a device, "
        "a stream's address, or a film")  # fmt: skip
    add("--every", type=float, metavar="SECONDS",
        help="between two pictures (default: 1; 0: as fast as it goes)")  # fmt: skip
    add("--frame-size", type=_frame_size, metavar="WIDTHxHEIGHT", help="of the camera's pictures")
    add("--save-dir", type=Path, metavar="DIR", help="keep the camera's pictures there")
    add("--watch", type=Path, metavar="DIR",
        help="answer photos as they arrive in a folder, each once")  # fmt: skip
    add("--state", type=Path, metavar="FILE",
        help="what --watch has answered (default: kept in ~/.local/state/edgebee)")  # fmt: skip
    add("--count", type=int, help="end after so many answers of --camera or --watch")
    parser.epilog = (
        "A PHOTO may also be a pattern in quotes, or - for standard input: one photo, or a list, "
        f"one a line. {parser.epilog}"
    )
    add = parser.add_argument_group("with the photos").add_argument
    add("--max-megapixels", type=int, metavar="N", help="refuse larger ones (default: 25)")
    add("--sort", action="store_true", help="by label, and the surest first; told at the end")
    add("--move-to", type=Path, metavar="DIR", help="move each photo to DIR/LABEL/")
    add("--annotate", type=Path, metavar="DIR",
        help="write pictures with the answer drawn on")  # fmt: skip
    return parser


def parse(parser: ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Arguments that go together; anything else ends the program with status 2."""
    args = classify.parse(parser, argv)
    ways = {
        "photos": bool(args.photos), "--camera": args.camera is not None,
        "--watch": args.watch is not None, "--selftest": args.selftest,
    }  # fmt: skip
    asked = [way for way, is_asked in ways.items() if is_asked]
    if len(asked) != 1:
        parser.error(f"one of {', '.join(ways)} is needed, not {' and '.join(asked) or 'none'}")
    args.way = asked[0].lstrip("-")
    for option, goes_with in _ONLY_WITH.items():
        if getattr(args, option) not in (None, False) and args.way not in goes_with:
            with_ = " or ".join(way if way == "photos" else f"--{way}" for way in goes_with)
            parser.error(f"--{option.replace('_', '-')} goes with {with_}")
    counts = [number for number in (args.count, args.max_megapixels) if number is not None]
    if (args.every or 0) < 0 or min(counts, default=1) < 1:
        parser.error("--every must be 0 or more, --count and --max-megapixels 1 or more")
    return args


def parse_options(options: Sequence[str]) -> argparse.Namespace:
    """Options of `edgebee classify`, as `deploy --service` takes them; wrong ones: status 2."""
    return parse(make_parser("edgebee classify"), options)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line; returns the exit status (2, wrong usage, is raised as SystemExit)."""
    args = parse(make_parser(prog), argv)
    if args.max_megapixels:
        classify.MAX_PIXELS = args.max_megapixels * 1_000_000
        Image.MAX_IMAGE_PIXELS = classify.MAX_PIXELS  # Pillow's own limit, of pixels not yet scaled
    try:
        _check_model(args.model or classify.find_model())
    except ModelError as error:
        return classify.print_error(error)
    threads = 1 if args.way == "photos" else args.threads  # which work on as many photos at a time
    return classify.run(args, functools.partial(_answer_all, args), threads)


def _check_model(model: str | Path) -> None:
    """Find damage before a runtime sees the file: it would end the process. ModelError if any."""
    with contextlib.suppress(OSError):  # which the runner has words for
        check_structure(Path(model).read_bytes(), str(model))


def _answer_all(args: argparse.Namespace, classifier: Classifier) -> Iterable[Result]:
    ways = {"camera": _answer_camera, "watch": _answer_arrivals, "photos": _answer_photos}
    return ways[args.way](classifier, args)


# ---------------------------------------------------------------- photos
def _answer_photos(classifier: Classifier, args: argparse.Namespace) -> Iterator[Result]:
    batches = photo_batches(args.photos)
    if args.move_to or args.annotate:
        batches = iter([_photos_outside(args.photos, (args.move_to, args.annotate))])
    many = functools.partial(classifier.classify_many, workers=args.threads)
    answers = with_remedy(itertools.chain.from_iterable(map(many, batches)))
    answers = results_with_progress(answers, args.photos)
    for photo, answer in sorted(answers, key=_by_label) if args.sort else answers:
        told = answer
        if args.annotate and isinstance(photo, Path):
            told = _annotated(photo, answer, args.annotate)
        yield photo, told  # and it is printed
        if args.move_to and isinstance(photo, Path):
            _move(photo, told, args.move_to)


def _photos_outside(named: Sequence[str], folders: Iterable[Path | None]) -> list[Any]:
    """The photos, listed before any is moved; not those in `folders`, unless named so."""
    outside: list[Any] = []
    inner = [os.path.realpath(folder) for folder in folders if folder]
    for name in named:
        place = Path(os.path.realpath(name))  # unlike `resolve`, a loop of links does not stop it
        apart = [Path(folder) for folder in inner if not place.is_relative_to(folder)]
        photos = itertools.chain.from_iterable(photo_batches([name]))
        outside += (photo for photo in photos if not _lies_in(photo, apart))
    return outside


def _lies_in(photo: Any, folders: Iterable[Path]) -> bool:
    return isinstance(photo, Path) and any(map(photo.resolve().is_relative_to, folders))


def _by_label(told: Result) -> tuple[bool, str, float, str]:
    photo, answer = told
    if isinstance(answer, PhotoError):
        return True, "", 0.0, str(photo)
    return False, answer.label, -answer.score, str(photo)


# ---------------------------------------------------------------- camera and arrivals
def _answer_camera(classifier: Classifier, args: argparse.Namespace) -> Iterator[Result]:
    from edgebee.edge.station import annotation, photo_store
    from edgebee.edge.station.camera import read_frames

    every_s = 1.0 if args.every is None else args.every
    frames = read_frames(args.camera, every_s=every_s, size=args.frame_size, say=_say)
    for frame in itertools.islice(frames, args.count):
        answer = classifier(frame.pixels)
        when = frame.when.replace(":", "-").zfill(10)  # names in the order of time, of films too
        name = f"{when}_{photo_store.folder_name(answer.label)}.jpg"
        said = f"{frame.source} {frame.when}"
        if args.save_dir:
            picture = Image.fromarray(frame.pixels)
            write = functools.partial(annotation.save_jpeg, picture)
            said = os.fspath(photo_store.save_new(args.save_dir, name, write))
        if args.annotate:
            picture = annotation.annotate(frame.pixels, annotation.caption(answer))
            photo_store.save_new(
                args.annotate, name, functools.partial(annotation.save_jpeg, picture)
            )
        yield said, answer


def _answer_arrivals(classifier: Classifier, args: argparse.Namespace) -> Iterator[Result]:
    from edgebee.edge.station.watch_store import Inbox, default_state_file
    from edgebee.edge.station.watching import watch

    places = [place for place in (args.move_to, args.annotate) if place]
    inbox = Inbox(args.watch, args.state or default_state_file(args.watch), without=places)

    def before(photo: Path, answer: Prediction | PhotoError) -> None:
        if args.annotate:
            _annotated(photo, answer, args.annotate, below=args.watch)

    def after(photo: Path, answer: Prediction | PhotoError) -> bool:
        return bool(args.move_to) and _move(photo, answer, args.move_to)

    render = functools.partial(classify.render, format_=args.format)
    return watch(inbox, classifier, render=render, before=before, after=after, say=_say,
                 count=args.count)  # fmt: skip


# ---------------------------------------------------------------- what follows an answer
def _annotated(
    photo: Path, answer: Prediction | PhotoError, folder: Path, below: Path | None = None
) -> Prediction | PhotoError:
    """Write the picture; returns the answer, or why there is no picture.

    With `below`, the picture lies in `folder` as the photo does in `below`, over an older
    one; else under a new name.
    """
    from edgebee.edge.station import annotation, photo_store

    if isinstance(answer, PhotoError):
        return answer
    try:
        pixels = annotation.full_pixels(photo)
    except PhotoError as error:
        return error
    picture = annotation.annotate(pixels, annotation.caption(answer))
    write = functools.partial(annotation.save_jpeg, picture)
    name = photo.name if photo.suffix.lower() in {".jpg", ".jpeg"} else f"{photo.name}.jpg"
    if below:
        photo_store.write_whole(folder / photo.relative_to(below).with_name(name), write)
    else:
        photo_store.save_new(folder, name, write)
    return answer


def _move(photo: Path, answer: Prediction | PhotoError, folder: Path) -> bool:
    """Move an answered photo to its label's folder; one that is unreadable stays."""
    from edgebee.edge.station import photo_store

    if isinstance(answer, PhotoError):
        return False
    photo_store.move_photo(photo, folder / photo_store.folder_name(answer.label))
    return True


def _say(line: str) -> None:
    print(classify.escape_control_chars(line), file=sys.stderr, flush=True)


def _frame_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 1280x960")
    return int(found[1]), int(found[2])
