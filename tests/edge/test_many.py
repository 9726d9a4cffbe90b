"""Many photos and many callers: streams on all cores, one classifier for several threads."""

import itertools
import sys
import threading

import classify
import numpy as np
import pytest
from PIL import Image

CORES = classify.available_cpus()


@pytest.fixture(scope="module")
def classifier(model):
    return classify.Classifier(model, threads=1)


@pytest.fixture(scope="module")
def photos(landscape):
    """Ten pictures, no two alike, some ten times as large as others."""
    rolled = (np.roll(landscape, 31 * shift, axis=1) for shift in range(10))
    return [
        np.asarray(Image.fromarray(picture).reduce(1 if place % 5 == 0 else 8))
        for place, picture in enumerate(rolled)
    ]


def scores(answers):
    return [list(answer.scores.items()) for _, answer in answers]


@pytest.mark.parametrize("workers", [None, 1, 64])
@pytest.mark.parametrize("threads", [None, 1])
def test_a_stream_gives_every_photo_in_order_with_the_scores_of_a_single_call(
    model, photos, workers, threads
):
    classifier = classify.Classifier(model, threads=threads)
    answers = list(classifier.classify_many(iter(photos), workers=workers))
    assert all(one is other for (one, _), other in zip(answers, photos, strict=True))
    assert scores(answers) == [list(classifier(photo).scores.items()) for photo in photos]


def test_a_broken_photo_is_answered_with_its_error_and_ends_nothing(classifier, photos):
    mixed = [b"no picture", photos[0], "missing.jpg", photos[1]]
    (_, first), (_, second), (_, third), (_, fourth) = classifier.classify_many(mixed)
    assert isinstance(first, classify.PhotoError)
    assert isinstance(third, classify.PhotoError)
    assert str(third).startswith("missing.jpg: ")
    assert {type(second), type(fourth)} == {classify.Prediction}


def test_nothing_gives_nothing(classifier):
    assert list(classifier.classify_many([])) == []


def test_a_stream_without_end_is_taken_a_few_at_a_time(classifier, photos):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield photos[1]

    answers = list(itertools.islice(classifier.classify_many(endless()), 20))
    assert len(answers) == 20
    assert taken <= 20 + 2 * CORES + 1  # a few ahead


def test_the_first_answer_does_not_wait_for_a_second_photo(classifier, photos):
    def source():
        yield photos[0]
        pytest.fail("the first was not answered yet")

    answers = classifier.classify_many(source())
    assert isinstance(next(answers)[1], classify.Prediction)


@pytest.mark.parametrize("before", [0, 1, 5])
def test_what_the_source_raises_comes_out_of_the_stream(classifier, photos, before):
    def source():
        yield from photos[:before]
        raise KeyError("from the source")

    answers = classifier.classify_many(source())
    with pytest.raises(KeyError, match="from the source"):
        list(answers)


def test_a_stream_that_is_left_early_leaves_no_thread_behind(classifier, photos):
    before = threading.active_count()
    answers = classifier.classify_many(photos)
    for _ in range(3):
        next(answers)
    answers.close()
    assert threading.active_count() == before


def test_never_more_workers_than_cores(classifier, photos):
    before, most = threading.active_count(), 0
    for _ in classifier.classify_many(photos, workers=64):
        most = max(most, threading.active_count() - before)
    assert most == CORES


def test_several_threads_may_share_a_classifier(model, photos):
    # Each thread asks of other photos in another order; a mix-up would give another's scores.
    classifier = classify.Classifier(model)
    expected = [classifier(photo).scores for photo in photos]
    wrong, interval = [], sys.getswitchinterval()

    def work(shift):
        for place in range(shift, shift + len(photos)):
            place %= len(photos)  # noqa: PLW2901
            if classifier(photos[place]).scores != expected[place]:
                wrong.append(place)

    sys.setswitchinterval(1e-5)  # threads change places a hundred times as often
    try:
        threads = [threading.Thread(target=work, args=(3 * number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_one_and_many_threads_of_the_runtime_give_the_same_scores(model, photos):
    one, many = classify.Classifier(model, threads=1), classify.Classifier(model)
    assert [one(photo).scores for photo in photos] == [many(photo).scores for photo in photos]
