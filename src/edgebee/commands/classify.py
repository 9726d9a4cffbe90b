"""`edgebee classify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import GroupedCommand, log
from edgebee.edge.station.options import GROUPS, PARAMS, make_options

if TYPE_CHECKING:
    from edgebee.edge.classify import Result
    from edgebee.edge.station.options import ClassifyOptions


def _run(options: ClassifyOptions) -> int:
    """Classify and print; returns the exit status."""
    from edgebee.edge import classify
    from edgebee.edge.station import sources

    if options.max_megapixels:
        sources.limit_pixels(options.max_megapixels)
    model = options.model or classify.find_model()
    if options.selftest:
        sources.check_model(model)
        return classify.print_selftest(model, options.format)
    classifier = sources.open_classifier(model, options)
    if not options.model:
        classify.announce_model(classifier)
    if stale := classify.find_newer_training(model):
        log(f"warning: {stale}")
    results = sources.classify_source(classifier, options)
    named = options.source == "photos"
    if named:
        results = _counted(results, options)
    status = classify.print_results(results, options.format, classifier.labels, summary=named)
    if status is None:
        return classify.print_error(f"no photos in {', '.join(options.photos)}")
    return status


def _counted(results: Iterable[Result], options: ClassifyOptions) -> Iterator[Result]:
    """Count on standard error, if that is a terminal and the results go elsewhere."""
    from edgebee.edge.station.named_photos import named_photos

    if "-" in options.photos or not sys.stderr.isatty() or sys.stdout.isatty():
        yield from results
        return
    total = sum(1 for _ in named_photos(options.photos))
    line = ""
    try:  # not tqdm, which the plain install does not have
        for number, (photo, result) in enumerate(results, 1):
            yield photo, result
            line = f"{number} of {total} photos"
            # The cursor goes back, so that a warning or an error is written over it.
            print(line, end="\r", file=sys.stderr, flush=True)
    finally:
        print(" " * len(line), end="\r", file=sys.stderr, flush=True)


def _command(**params: Any) -> None:
    """Classify photos, a live camera's frames, or photos as they arrive in a folder.

    A PHOTO is a file, a folder, a pattern in quotes, or - for one on standard input.

    \b
    Examples:
        edgebee classify photo.jpg
        edgebee classify my_photos --format csv > results.csv
        edgebee classify --watch arriving --move-to sorted
        edgebee classify --camera --every 10 --save-dir frames

    Exit status: 0 all classified, 1 a photo or the model failed, 2 wrong usage, 130 Ctrl-C.
    """  # noqa: D301
    from edgebee.edge.classify import run_command

    options = make_options(**params)
    click.get_current_context().exit(run_command(lambda: _run(options)))


command = GroupedCommand(
    "classify",
    callback=_command,
    params=list(PARAMS),
    groups=GROUPS,
    help=_command.__doc__,
    short_help="Classify photos.",
)
