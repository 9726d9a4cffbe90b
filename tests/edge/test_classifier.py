"""From pixels to an answer: the model file, its labels, ranking, and what is found by itself."""

import importlib.util
import math
import os
import pickle
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import classify
import numpy as np
import pytest

# ---------------------------------------------------------------- ranking


@pytest.mark.parametrize(
    ("scores", "top_k", "order"),
    [
        ([0.2, 0.7, 0.1], None, [1, 0, 2]),
        ([0.2, 0.7, 0.1], 2, [1, 0]),
        ([0.2, 0.7, 0.1], 99, [1, 0, 2]),
        ([0.5, 0.5, 0.9, 0.5], None, [2, 0, 1, 3]),  # ties keep their order
        ([0.0] * 100 + [1.0] * 100, None, [*range(100, 200), *range(100)]),
        ([1.0], 1, [0]),
    ],
)
def test_rank_gives_the_best_first(scores, top_k, order):
    assert classify.rank(np.array(scores, np.float32), top_k) == order


def test_usable_cores_are_those_this_process_may_run_on():
    assert 1 <= classify.available_cpus() <= os.cpu_count()


# ---------------------------------------------------------------- the model file


def refused(action, *arguments):
    """The message of the ModelError, which must be one line."""
    with pytest.raises(classify.ModelError) as caught:
        action(*arguments)
    assert isinstance(caught.value, classify.EdgebeeError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("load", [classify.make_interpreter, classify.Classifier])
def test_what_is_no_model_is_refused_by_name_with_a_remedy(load, tmp_path):
    missing, text = tmp_path / "missing.tflite", tmp_path / "text.tflite"
    text.write_text("this is not a model")
    assert refused(load, missing).startswith(f"{missing}: cannot be opened (No such file")
    assert refused(load, tmp_path).startswith(f"{tmp_path}: cannot be opened")
    assert refused(load, text).startswith(f"{text}: not a TFLite model; make one with: edgebee")


@pytest.mark.parametrize("labels_beside", [False, True])
@pytest.mark.parametrize("missing_bytes", [1, 100, 1000, 30_000, 1_000_000])
def test_a_model_cut_short_is_refused_before_it_can_crash_the_runtime(
    model, tmp_path, missing_bytes, labels_beside
):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model.read_bytes()[:-missing_bytes])
    if labels_beside:
        (tmp_path / classify.LABELS_NAME).write_text("ants\nbees\nneither\n")
    assert "cut short" in refused(classify.Classifier, broken)


@pytest.mark.parametrize("kept_bytes", [36_000, 300_000, 600_000, 2_600_000])
def test_a_damaged_model_without_a_hash_cannot_crash_the_process(
    foreign_model, tmp_path, kept_bytes, capfd
):
    # tflite-runtime follows offsets beyond the end of the file, to what lies there in memory: now
    # it crashes and now it only refuses the file. LiteRT looks at them first.
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(foreign_model.read_bytes()[:kept_bytes])
    (tmp_path / classify.LABELS_NAME).write_text("ants\nbees\nneither\n")
    message = refused(classify.Classifier, broken)
    assert message.startswith(f"{broken}: damaged, or too new (")
    assert "Traceback" not in capfd.readouterr().err


def test_a_model_that_crashes_the_runtime_is_refused(foreign_model, tmp_path):
    # The first offset leads two gigabytes beyond the file.
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\xf0\xff\xff\x7f" + foreign_model.read_bytes()[4:])
    message = refused(classify.make_interpreter, broken)
    if "tflite_runtime" in classify._import_runtime().__name__:
        assert "the runtime crashes on it" in message


def test_only_a_model_without_a_hash_is_tried_in_a_process_of_its_own(
    model, foreign_model, landscape, monkeypatch
):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    classify.Classifier(model)(landscape)
    assert "No such file" in refused(classify.make_interpreter, foreign_model)
    # An executable that has Python frozen into it would start itself.
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    classify.make_interpreter(foreign_model)


def test_a_trial_imports_nothing_from_the_folder_that_one_is_in(
    foreign_model, tmp_path, monkeypatch
):
    for name in ("ai_edge_litert", "tflite_runtime", "importlib", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()")
    monkeypatch.chdir(tmp_path)
    classify.make_interpreter(foreign_model)
    assert not (tmp_path / "imported").exists()


def test_a_model_the_runtime_rejects_is_refused_with_its_reason(model, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model.read_bytes()[:4] + b"TFL3")
    message = refused(classify.make_interpreter, broken)
    assert message.startswith(f"{broken}: damaged, or too new (")
    assert "not a valid Flatbuffer" in message or "schema version" in message  # LiteRT; before it


def test_a_name_that_is_no_text_is_refused_with_the_file(foreign_model, tmp_path):
    # Both runtimes decode the names of inputs and outputs when they are asked for their shapes.
    name = classify.make_interpreter(foreign_model).get_input_details()[0]["name"].encode()
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(foreign_model.read_bytes().replace(name, b"\xff" + name[1:]))
    message = refused(classify.make_interpreter, broken)
    assert message.startswith(f"{broken}: damaged, or too new ('utf-8' codec can't decode")


def test_what_is_printed_while_a_further_thread_loads_the_model_is_seen(
    model, landscape, monkeypatch, capfd
):
    classifier = classify.Classifier(model)
    runtime = classify._import_runtime()
    real = runtime.Interpreter

    def load(**options):
        os.write(2, b"error: of the photo before")
        return real(**options)

    monkeypatch.setattr(runtime, "Interpreter", load)
    classifier._idle.clear()  # as while other threads invoke them
    classifier(landscape)
    assert capfd.readouterr().err == "error: of the photo before"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads the Linux way")
def test_more_threads_than_cores_are_never_started(model, landscape):
    before = len(list(Path("/proc/self/task").iterdir()))
    classifier = classify.Classifier(model, threads=64)
    classifier(landscape)
    started = len(list(Path("/proc/self/task").iterdir())) - before
    assert started < 2 * classify.available_cpus()  # a pool or two of that size, not 64


# ---------------------------------------------------------------- labels


def with_zip(foreign_model, path, **members):
    """A copy of a model with a zip appended, as the TFLite metadata standard has it."""
    path.write_bytes(foreign_model.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return path


def test_labels_inside_the_model_win_over_those_beside_it(foreign_model, tmp_path):
    packed = with_zip(foreign_model, tmp_path / "m.tflite", labels_txt="wasp\nhornet\n")
    (tmp_path / "labels.txt").write_text("other\nnames\n")
    assert classify.read_labels(packed) == ("wasp", "hornet")


def test_a_model_without_labels_inside_takes_those_beside_it(foreign_model, tmp_path):
    plain = tmp_path / "plain.tflite"
    shutil.copy(foreign_model, plain)
    zipped = with_zip(foreign_model, tmp_path / "zipped.tflite", other_txt="no labels here")
    (tmp_path / "labels.txt").write_text("wasp\nhornet\nhoverfly\n")
    names = ("wasp", "hornet", "hoverfly")
    assert classify.read_labels(plain) == names
    assert classify.read_labels(zipped) == names
    assert set(classify.Classifier(plain)(np.zeros((9, 9, 3), np.uint8)).scores) == set(names)


@pytest.mark.parametrize(
    "content",
    [
        b"Wespe\nH\xc3\xb6rnchen\n",
        b"Wespe\nH\xc3\xb6rnchen",
        b"Wespe\r\nH\xc3\xb6rnchen\r\n",
        b"\xef\xbb\xbfWespe\nH\xc3\xb6rnchen\n\n",  # as Windows' editor saves UTF-8
        b"Wespe\nH\xf6rnchen\n",  # Latin-1
        "Wespe\r\nH\u00f6rnchen\r\n".encode("utf-16"),  # as Windows' editor saves "Unicode"
        b"0 Wespe\n1 H\xc3\xb6rnchen\n",  # Teachable Machine
        b"1: Wespe\n2: H\xc3\xb6rnchen\n",
        b"1 H\xc3\xb6rnchen\n0 Wespe\n",  # the numbers give the order
        b"\nWespe\n\nH\xc3\xb6rnchen\n",
    ],
)
def test_label_files_of_all_editors_are_read(foreign_model, tmp_path, content):
    plain = shutil.copy(foreign_model, tmp_path)
    (tmp_path / "labels.txt").write_bytes(content)
    assert classify.read_labels(plain) == ("Wespe", "Hörnchen")


def test_a_model_without_readable_labels_is_refused_with_the_remedy(foreign_model, tmp_path):
    plain = shutil.copy(foreign_model, tmp_path)
    assert "put a labels.txt" in refused(classify.read_labels, plain)


@pytest.mark.parametrize("names", ["4 leaf clover\n7 spot ladybird\n", "1 bee\nants\n"])
def test_numbers_that_are_no_order_are_part_of_the_names(foreign_model, tmp_path, names):
    plain = shutil.copy(foreign_model, tmp_path)
    (tmp_path / "labels.txt").write_text(names)
    assert classify.read_labels(plain) == tuple(names.splitlines())


@pytest.mark.parametrize("name", ["foreign.txt", "foreign_labels.txt", "class_labels.txt"])
def test_labels_under_another_usual_name_are_found(foreign_model, tmp_path, name):
    plain = shutil.copy(foreign_model, tmp_path)
    (tmp_path / name).write_text("wasp\nhornet\n")
    assert classify.read_labels(plain) == ("wasp", "hornet")


def test_a_list_inside_the_model_under_another_name_is_found(foreign_model, tmp_path):
    packed = with_zip(foreign_model, tmp_path / "m.tflite", labelmap_txt="wasp\nhornet\n")
    assert classify.read_labels(packed) == ("wasp", "hornet")


@pytest.mark.parametrize(
    "labels",
    [
        "ants\n",
        "ants\nbees\n",
        "ants\nbees\nwasps\nhornets\n",
        "ants\nants\n",
        "ants\nbees\nants\n",
    ],
)
def test_labels_that_do_not_fit_the_scores_are_refused(foreign_model, tmp_path, labels):
    plain = shutil.copy(foreign_model, tmp_path)
    (tmp_path / "labels.txt").write_text(labels)
    message = refused(classify.Classifier, plain)
    assert "label names" in message
    assert ("'ants'" in message) == (labels.count("ants") == 2)


# ---------------------------------------------------------------- the answer


@pytest.fixture(scope="module")
def classifier(model):
    return classify.Classifier(model)


def test_an_answer_holds_every_score_best_first(classifier, photo):
    answer = classifier(photo)
    assert set(answer.scores) == set(classifier.labels)
    assert list(answer.scores.values()) == sorted(answer.scores.values(), reverse=True)
    assert next(iter(answer.scores.items())) == (answer.label, answer.score)
    # A softmax in 8 bits: each score may be off by half of 1/256, or by a whole step at 1.
    assert sum(answer.scores.values()) == pytest.approx(1, abs=len(answer.scores) / 256)
    assert answer.decode_ms > 0
    assert answer.invoke_ms > 0
    with pytest.raises(AttributeError):  # for it may be shared
        answer.label = "another"


def test_the_answer_is_that_of_the_three_steps_by_hand(classifier, photo):
    pixels = classify.read_photo(photo, classifier.size)
    scores = classify.invoke(classifier.interpreter, pixels)
    assert scores.shape == (len(classifier.labels),)
    assert scores.dtype == np.float32
    assert classifier(photo).label == classifier.labels[classify.rank(scores)[0]]
    assert classifier(photo).score == scores.max()


def test_the_pixels_reach_the_model_as_they_are(classifier, photo):
    # The contract of an int8 model: uint8 in, scale 1, zero point 0; uint8 out, scale 1/256.
    pixels = classify.read_photo(photo, classifier.size)
    scores = classify.invoke(classifier.interpreter, pixels)
    entry = classifier.interpreter.get_input_details()[0]
    output = classifier.interpreter.get_output_details()[0]
    assert (entry["dtype"], entry["quantization"]) == (np.uint8, (1.0, 0))
    assert np.array_equal(classifier.interpreter.get_tensor(entry["index"])[0], pixels)
    raw = classifier.interpreter.get_tensor(output["index"])[0]
    scale, zero_point = output["quantization"]
    assert np.allclose(scores, (raw.astype(float) - zero_point) * scale, atol=1e-6)


def test_the_same_photo_gives_the_same_scores_whatever_was_seen_before(classifier, photo):
    first = classifier(photo).scores
    classifier(np.zeros((50, 50, 3), np.uint8))
    assert classifier(photo.read_bytes()).scores == first


def test_top_k_limits_the_list_and_nothing_else(model, photo, classifier):
    short = classify.Classifier(model, top_k=1)(photo)
    assert list(short.scores) == [short.label]
    assert short.score == classifier(photo).score


def test_below_the_threshold_the_label_is_unknown(model, class_picture, classifier):
    sure = classifier(class_picture)
    share = sure.score / (1 - sure.scores["neither"])
    # Rounded down, for the product with what the classes have is rounded again.
    reached = classify.Classifier(model, threshold=math.nextafter(share, 0))(class_picture)
    assert reached.label == sure.label != classify.UNKNOWN
    unsure = classify.Classifier(model, threshold=share + 0.001)(class_picture)
    assert unsure.label == classify.UNKNOWN
    assert unsure.score == sure.score
    assert unsure.scores == sure.scores


@pytest.mark.parametrize(
    ("scores", "threshold", "label"),
    [
        ([0.2, 0.3, 0.5], 0.0, "neither"),  # the largest
        ([0.2, 0.3, 0.5], 1.0, "neither"),  # whatever the threshold
        ([0.3, 0.4, 0.3], 0.0, "bees"),
        ([0.25, 0.375, 0.375], 0.0, "bees"),  # as large is not larger
        ([0.125, 0.5, 0.375], 0.8, "bees"),  # four fifths of what the classes have
        ([0.125, 0.5, 0.375], 0.81, "unknown"),
        ([0.46, 0.44, 0.1], 0.6, "unknown"),
    ],
)
def test_neither_is_the_largest_score_and_unknown_too_little_among_the_classes(
    scores, threshold, label
):
    labels = ("ants", "bees", "neither")
    assert classify.choose_label(labels, np.float32(scores), threshold) == label


def test_without_neither_the_threshold_is_of_the_score_itself():
    scores = np.float32([0.125, 0.5, 0.375])
    assert classify.choose_label(("ants", "bees", "wasps"), scores, 0.5) == "bees"
    assert classify.choose_label(("ants", "bees", "wasps"), scores, 0.51) == "unknown"


def test_classifiers_of_their_own_may_work_at_the_same_time(model, photo, classifier):
    expected, answers = classifier(photo).scores, []

    def work():
        own = classify.Classifier(model, threads=1)
        answers.extend(own(photo).scores for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 6


def test_a_classifier_is_readable_and_can_be_pickled(model, photo):
    own = classify.Classifier(model, threads=1, top_k=1, threshold=0.7)
    assert repr(own) == f"Classifier({str(model)!r}: ants, bees, neither; 224 x 224 pixels)"
    again = pickle.loads(pickle.dumps(own))
    assert (again.threads, again.top_k, again.threshold) == (1, 1, 0.7)
    assert again(photo).scores == own(photo).scores


def test_a_prediction_is_readable(classifier, photo):
    prediction = classifier(photo)
    shown = f"Prediction({prediction.label!r}, {prediction.score:.3f}; {prediction.label} "
    assert repr(prediction).startswith(shown)
    assert repr(prediction).endswith(" ms)")


def test_a_with_block_lets_the_model_go(model, photo):
    with classify.Classifier(model) as own:
        scores = own(photo).scores
    assert own.interpreter is None
    assert own(photo).scores == scores  # it is loaded again


def test_a_batch_is_predicted_in_order_or_refused(classifier, photo, landscape):
    batch = [photo, landscape, photo]
    expected = [classifier(one).scores for one in batch]
    assert [one.scores for one in classifier.predict_batch(batch)] == expected
    with pytest.raises(classify.PhotoError, match="not a picture"):
        classifier.predict_batch([photo, b"no picture"])


def test_features_are_those_that_the_last_layer_makes_the_scores_of(classifier, photo):
    features = classifier.embed(photo)
    assert (features.shape, features.dtype) == ((1280,), np.float32)
    assert features.min() >= 0  # averages of ReLU6
    assert 0 < features.max() <= 6
    assert np.array_equal(classifier.embed(photo), features)
    assert not np.array_equal(classifier.embed(np.zeros((9, 9, 3), np.uint8)), features)


def test_loading_and_predicting_write_nothing_to_the_terminal(model, photo):
    code = (
        "import sys, importlib.util\n"
        "spec = importlib.util.spec_from_file_location('lone', sys.argv[1])\n"
        "lone = importlib.util.module_from_spec(spec)\n"
        "sys.modules['lone'] = lone\n"
        "spec.loader.exec_module(lone)\n"
        "classifier = lone.Classifier(sys.argv[2])\n"
        "classifier(sys.argv[3]), classifier.embed(sys.argv[3])\n"
        "print('to standard error', file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, classify.__file__, model, photo]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "to standard error\n")


# ---------------------------------------------------------------- found by itself


@pytest.fixture
def lone_runner(runner, tmp_path):
    """The runner's file copied to a folder of its own and imported from there."""
    folder = tmp_path / "lone"
    folder.mkdir()
    spec = importlib.util.spec_from_file_location("lone", shutil.copy(runner, folder))
    lone = importlib.util.module_from_spec(spec)
    sys.modules["lone"] = lone
    yield spec.loader.exec_module(lone) or lone
    del sys.modules["lone"]


def touch(path, age_seconds):
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (1e9 - age_seconds, 1e9 - age_seconds))
    return path


def test_find_model_takes_the_newest_int8_model_of_the_artifacts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    artifacts = tmp_path / "artifacts"
    touch(artifacts / "z_int8.tflite", 30)
    newest = touch(artifacts / "model_int8.tflite", 20)
    touch(artifacts / "model_float32.tflite", 10)
    touch(artifacts / "labels.txt", 10)
    touch(artifacts / ".model_int8.77part.tflite", 0)  # about to be written
    assert classify.find_model().resolve() == newest


def test_find_model_takes_the_model_that_ships_when_nothing_was_trained(
    tmp_path, monkeypatch, model, caplog
):
    monkeypatch.chdir(tmp_path)
    assert classify.find_model().samefile(model)
    assert caplog.messages == []
    Path("artifacts").mkdir()
    Path("artifacts", "model.keras").touch()
    assert classify.find_model().samefile(model)
    assert caplog.messages == ["artifacts/model.keras is not converted yet: edgebee convert"]


def test_find_model_of_a_lone_runner_takes_what_lies_beside_it(lone_runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lone_runner.ModelError, match=r"-m MODEL\.tflite"):
        lone_runner.find_model()
    beside = touch(tmp_path / "lone" / "any.tflite", 0)
    assert lone_runner.find_model() == beside
    shipped = touch(tmp_path / "lone" / "models" / "shipped.tflite", 99)
    assert lone_runner.find_model() == shipped


def test_find_photos_walks_folders_in_order_and_passes_over_what_is_hidden(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.jpg", "sub.jpg/c.tiff", ".git/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path) for path in classify.find_images([tmp_path])]
    assert [str(path) for path in found] == ["a.png", "b.JPG", "sub.jpg/c.tiff"]


def test_find_photos_gives_files_as_they_are_named(tmp_path):
    named = [str(tmp_path / name) for name in ("photo.raw", ".hidden.jpg", "missing.jpg")]
    for path in named[:2]:
        Path(path).touch()
    assert list(classify.find_images(named)) == [Path(path) for path in named]


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path):
    shut = tmp_path / "shut"
    shut.mkdir(mode=0)
    tmp_path.chmod(0o700)
    root = os.geteuid() == 0
    if root:  # who may read everything
        os.seteuid(65534)
    try:
        assert list(classify.find_images([shut])) == [shut]
        with pytest.raises(classify.PhotoError, match="Permission denied"):
            classify.read_photo(shut)
    finally:
        if root:
            os.seteuid(0)
        shut.chmod(0o700)
