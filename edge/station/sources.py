"""Where the photos of `edgebee classify` come from, and the predictions for them, as they come."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from edgebee.edge import classify
from edgebee.edge.classify import Classifier, PhotoError, Result
from edgebee.edge.station.named_photos import named_photos, with_remedy
from edgebee.edge.station.options import ClassifyOptions
from edgebee.edge.station.sinks import annotate_photo, move_classified, move_linked, save_frame
from edgebee.edge.tflite.structure import check_structure

__all__ = ["check_model", "classify_source", "limit_pixels", "open_classifier"]

DEFAULT_EVERY_S = 1.0


def check_model(model: Path) -> None:
    """Find damage before a runtime sees the file: it would end the process.

    Raises:
        ModelError: it is damaged.
    """
    with contextlib.suppress(OSError):  # which the runner has words for
        content = model.read_bytes()
        classify.check_whole(model, content)
        check_structure(content, str(model))


def limit_pixels(max_megapixels: int) -> None:
    """From now on, refuse photos that would hold more pixels in memory."""
    classify.MAX_PIXELS = max_megapixels * 1_000_000
    Image.MAX_IMAGE_PIXELS = classify.MAX_PIXELS  # Pillow's own limit, of pixels not yet scaled


def open_classifier(model: Path, options: ClassifyOptions) -> Classifier:
    """Load the model for a source of photos.

    Raises:
        ModelError: it cannot be used.
    """
    check_model(model)
    # Named photos are worked on several at a time, the others one after another.
    threads = 1 if options.source == "photos" else options.threads
    top_k = options.top_k or (1 if options.format == "text" else None)
    return Classifier(
        model,
        threads=threads,
        top_k=top_k,
        threshold=options.threshold,
        normalize=options.normalize,
        size=options.size,
    )


def classify_source(classifier: Classifier, options: ClassifyOptions) -> Iterator[Result]:
    """Yield the photos of a source with their predictions, and do with each what is asked for.

    A photo is moved, and remembered as classified, when the next result is asked for: by then
    its own has been printed.

    Raises:
        EdgebeeError: see `read_frames`, `WatchStore` and `photo_store`.
    """
    sources = {"photos": _classify_photos, "camera": _classify_frames, "watch": _classify_arrivals}
    return sources[options.source](classifier, options)


# ---------------------------------------------------------------- photos
def _classify_photos(classifier: Classifier, options: ClassifyOptions) -> Iterator[Result]:
    photos: Iterable[Any] = named_photos(options.photos)
    linked: set[str] = set()  # photos that links among the others lead to
    if options.move_to or options.annotate:
        listed = _photos_outside(options.photos, (options.move_to, options.annotate))
        links = (one for one in listed if isinstance(one, Path) and one.is_symlink())
        linked = {os.path.realpath(link) for link in links}
        photos = listed
    results = with_remedy(classifier.classify_many(photos, workers=options.threads))
    held: list[tuple[Path, classify.Prediction | PhotoError]] = []
    for photo, result in sorted(results, key=_by_label) if options.sort else results:
        if options.annotate and isinstance(photo, Path):
            annotate_photo(photo, result, options.annotate)
        yield photo, result  # and it is printed
        if not options.move_to or not isinstance(photo, Path):
            continue
        if linked and os.path.realpath(photo) in linked:
            held.append((photo, result))  # it is still to be read through them
        else:
            move_classified(photo, result, options.move_to)
    if options.move_to:
        move_linked(held, options.move_to)


def _photos_outside(names: Sequence[str], folders: Iterable[Path | None]) -> list[Any]:
    """The photos, listed before any is moved; not those in `folders`, unless named so."""
    outside: list[Any] = []
    inner = [os.path.realpath(folder) for folder in folders if folder]
    for name in names:
        place = Path(os.path.realpath(name))  # unlike `resolve`, a loop of links does not stop it
        apart = [Path(folder) for folder in inner if not place.is_relative_to(folder)]
        outside += (photo for photo in named_photos([name]) if not _lies_in(photo, apart))
    return outside


def _lies_in(photo: Any, folders: Iterable[Path]) -> bool:
    return isinstance(photo, Path) and any(map(photo.resolve().is_relative_to, folders))


def _by_label(result: Result) -> tuple[bool, tuple[bool, str], float, str]:
    """Sort key: by label, the best score first, errors last."""
    photo, prediction = result
    if isinstance(prediction, PhotoError):
        return True, (True, ""), 0.0, str(photo)
    return False, classify.label_order(prediction.label), -prediction.score, str(photo)


# ---------------------------------------------------------------- camera and arrivals
def _classify_frames(classifier: Classifier, options: ClassifyOptions) -> Iterator[Result]:
    from edgebee.edge.station.camera import read_frames
    from edgebee.edge.station.frame_source import CAMERA_VARIABLE

    every_s = DEFAULT_EVERY_S if options.every is None else options.every
    camera = options.camera or os.environ.get(CAMERA_VARIABLE, "")
    frames = read_frames(camera, every_s=every_s, size=options.frame_size)
    for frame in itertools.islice(frames, options.count):
        prediction = classifier(frame.pixels)
        if not frame.when.replace(".", "").isdigit():  # the seconds into a film
            prediction = prediction._replace(taken=frame.when)
        name = f"{frame.source} {frame.when}"
        if options.save_dir:
            name = os.fspath(save_frame(frame, prediction, options.save_dir))
        if options.annotate:
            save_frame(frame, prediction, options.annotate, annotated=True)
        yield name, prediction


def _classify_arrivals(classifier: Classifier, options: ClassifyOptions) -> Iterator[Result]:
    from edgebee.edge.station.watch_store import WatchStore, default_state_file
    from edgebee.edge.station.watching import watch

    assert options.watch is not None
    below, annotated, moved = options.watch, options.annotate, options.move_to

    def before(photo: Path, result: classify.Prediction | PhotoError) -> None:
        if annotated:
            annotate_photo(photo, result, annotated, below=below)

    def after(photo: Path, result: classify.Prediction | PhotoError) -> bool:
        return moved is not None and move_classified(photo, result, moved) is not None

    apart = [folder for folder in (moved, annotated) if folder]
    state = options.state or default_state_file(below)
    name = os.fspath(classifier.model)
    model = name, hashlib.sha256(Path(name).read_bytes()).hexdigest()
    store = WatchStore(below, state, without=apart, model=model)
    labels = classifier.labels
    render = functools.partial(classify.render, format_=options.format, labels=labels)
    return watch(store, classifier, render=render, before=before, after=after, count=options.count)
