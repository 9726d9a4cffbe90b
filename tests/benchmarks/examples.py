"""Results as they are after measuring, for the tests of what is made of them."""

from __future__ import annotations

import numpy as np

from edgebee.benchmarks.measure.accuracy import measure_accuracy
from edgebee.benchmarks.measure.devices import Conditions, Device, Run
from edgebee.benchmarks.measure.latency import Round, compare_rounds, is_noisy, summarise_rounds
from edgebee.benchmarks.measure.results import (
    FORMAT_VERSION,
    Data,
    Photo,
    Results,
    Settings,
    Variant,
)

LABELS = ("ants", "bees")
PHOTOS = 40


def make_variant(name: str, wrong: int, reference: np.ndarray | None) -> tuple[Variant, np.ndarray]:
    """A variant that gets the first `wrong` photos wrong, surely."""
    truth = np.arange(PHOTOS) % 2
    scores = np.where(np.arange(2) == truth[:, None], 0.875, 0.125)
    scores[:wrong] = 1 - scores[:wrong]
    variant = Variant(
        name=name,
        format="keras" if name.endswith(".keras") else name[6:].partition(".")[0],
        size_bytes=2_730_000,
        sha256="0" * 64,
        scores=tuple(tuple(row) for row in scores.tolist()),
        accuracy=measure_accuracy(scores, truth, LABELS, reference),
    )
    return variant, scores


def make_run(
    name: str,
    invoke_ms: float,
    reference_ms: float | None,
    drift: float = 0.0,
    at_home: bool = True,
) -> Run:
    """Three rounds of four photos; `drift` makes each round that share slower."""

    def rounds(milliseconds: float) -> tuple[Round, ...]:
        return tuple(
            Round((2.0,) * 4, (1.0,) * 4, (milliseconds * (1 + drift * number),) * 4)
            for number in range(3)
        )

    own = rounds(invoke_ms)
    return Run(
        variant=name,
        runtime="ai-edge-litert 2.3.0",
        threads=2,
        load_ms=20.0,
        cold_start_ms=250.0,
        peak_memory_mb=60.0,
        latency=summarise_rounds(own),
        ratio=None if reference_ms is None else compare_rounds(own, rounds(reference_ms)),
        same_predictions=None if at_home else 4,
    )


def make_device(name: str, runs: tuple[Run, ...], failure: str | None = None) -> Device:
    """A machine with these runs, the first of which is the reference."""
    return Device(
        name=name,
        url=None if name == "this machine" else name,
        conditions=Conditions(
            processor="Some CPU", board=None, architecture="x86_64", cores=2,
            governor="ondemand", system="Linux", python="3.11.7",
            temperature_c=51.5, throttled=(),
        ),
        reference=runs[0].variant if runs else None,
        runs=runs,
        noisy=is_noisy([run.latency.whole for run in runs]),
        failure=failure,
    )  # fmt: skip


def make_results(
    *, int8_wrong: int = 2, int8_ms: float = 3.0, keras_ms: float = 12.0, drift: float = 0.0
) -> Results:
    """A whole benchmark of Keras and int8, on this machine and on a Pi.

    Keras gets one photo wrong.
    """
    keras, scores = make_variant("model.keras", 1, None)
    int8, _ = make_variant("model_int8.tflite", int8_wrong, scores)
    here = make_device(
        "this machine",
        (
            make_run("model.keras", keras_ms, None, drift),
            make_run("model_int8.tflite", int8_ms, keras_ms, drift),
        ),
    )
    there = make_device(
        "pi@bee", (make_run("model_int8.tflite", 4 * int8_ms, None, at_home=False),)
    )
    photos = tuple(Photo(f"val/{LABELS[n % 2]}/{n}.jpg", n % 2) for n in range(PHOTOS))
    return Results(
        edgebee="0.1.0",
        date="2026-11-25T02:00:00+00:00",
        data=Data("insects", "/photos", False, LABELS, photos, ()),
        settings=Settings(rounds=3, photos_a_round=4, threads=2),
        reference="model.keras",
        variants=(keras, int8),
        devices=(here, there),
        artifacts="/artifacts",
        format_version=FORMAT_VERSION,
    )
