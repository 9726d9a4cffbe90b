#!/usr/bin/env python3
"""Say what is in a photo, with a TFLite model made by edgebee.

This one file and a model are all a Raspberry Pi needs:

    python classify.py -m model_int8.tflite photo.jpg

It uses NumPy, Pillow and either `ai-edge-litert` or `tflite-runtime`, and nothing else.
The way of a photo is: `read_photo` (pixels) -> `invoke` (scores) -> `rank` (answer).
As a library:

    from classify import Classifier
    answer = Classifier("model_int8.tflite")("photo.jpg")
    print(answer.label, answer.score)

What can go wrong is an EdgeError: PhotoError, ModelError or RuntimeMissingError.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import struct
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

__all__ = [
    "Answer", "Classifier", "EdgeError", "ModelError", "PhotoError", "RuntimeMissingError",
    "find_model", "find_photos", "invoke", "main", "make_interpreter", "rank", "read_labels",
    "read_photo", "usable_cores",
]  # fmt: skip

PHOTO_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
LABELS_NAME = "labels.txt"
UNKNOWN = "unknown"
"""The label of an answer whose best score is below the threshold."""

Pixels: TypeAlias = npt.NDArray[np.uint8]
Scores: TypeAlias = npt.NDArray[np.float32]
Photo: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | Pixels"

_ORIENTATION_TAG = 0x0112  # EXIF (CIPA DC-008): how to turn the stored picture upright
_SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations that swap height and width
# What Pillow raises for damaged files; OSError is also "cannot identify" and "truncated".
_DECODE_FAULTS = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError,
    Image.DecompressionBombError,
)  # fmt: skip


class EdgeError(Exception):
    """An expected failure; its message names the file and the remedy."""


class PhotoError(EdgeError):
    """A photo that cannot be read."""


class ModelError(EdgeError):
    """A model that cannot be used."""


class RuntimeMissingError(EdgeError):
    """No TFLite runtime that works here."""


# ---------------------------------------------------------------- photo -> pixels


def read_photo(source: Photo, size: tuple[int, int] = (224, 224)) -> Pixels:
    """Read a photo the one way edgebee does: training, calibration, benchmark and Pi.

    The picture is turned upright (EXIF), its short side is scaled to `size` and its centre
    is cut out, so that nothing is squashed. JPEGs are scaled while they are decoded,
    which is some eight times faster for a 12-megapixel photo. Of an animation the first
    frame is read; transparent parts become white; 16-bit values keep their upper 8 bits.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image, or
            `uint8 [H, W, 3]` RGB pixels.
        size: height and width of the result, in pixels.

    Returns:
        `uint8 [height, width, 3]`, RGB, 0-255.

    Raises:
        PhotoError: the source is no picture or a damaged one.
    """
    if isinstance(source, Image.Image):
        return _fit(source, size)
    if isinstance(source, np.ndarray):
        return _fit(Image.fromarray(source), size)
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "photo"
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file) as image:
            return _fit(image, size)
    except _DECODE_FAULTS as error:
        raise PhotoError(f"{name}: cannot be read as a photo ({_reason(error)})") from error


def _fit(image: Image.Image, size: tuple[int, int]) -> Pixels:
    """Scale and centre-crop `image` to `size` (height, width), upright."""
    image.draft("RGB", (max(size), max(size)))  # JPEG: decode at the smallest scale that covers
    image.load()  # turns a TIFF upright by itself, so the tag is read after it
    sideways = image.getexif().get(_ORIENTATION_TAG) in _SIDEWAYS
    height, width = size[::-1] if sideways else size
    image = _as_rgb(image)
    crop_width = min(image.width, image.height * width / height)
    crop_height = min(image.height, image.width * height / width)
    left, top = (image.width - crop_width) / 2, (image.height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    image = image.resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=3.0)
    return np.asarray(ImageOps.exif_transpose(image))


def _as_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as RGB: 16-bit scaled to 8, transparency laid on white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16-bit grey; a plain convert() would clip it to white
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    """A few words for a decoder's complaint, without object addresses or paths."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).split("\n", 1)[0]
    return "not a picture" if text.startswith("cannot identify") else text or type(error).__name__


def find_photos(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Yield files as they are and, for folders, the photos below them in sorted order."""
    for path in map(Path, paths):
        if path.is_dir():
            below = (found for found in path.rglob("*") if found.suffix.lower() in PHOTO_SUFFIXES)
            yield from sorted(found for found in below if not found.name.startswith("."))
        else:
            yield path


# ---------------------------------------------------------------- model -> scores


def usable_cores() -> int:
    """The cores this process may run on; more threads than that are far slower, not faster."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _interpreter_class() -> Any:
    """The Interpreter of LiteRT, or of its predecessor tflite-runtime."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        # Importing tflite-runtime succeeds under NumPy 2, but making an interpreter then kills
        # the process.
        if int(np.__version__.split(".", 1)[0]) >= 2 and find_spec("tflite_runtime"):
            raise RuntimeMissingError(
                f"tflite-runtime crashes with NumPy {np.__version__}: pip install 'numpy<2'"
            ) from None
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise RuntimeMissingError(
                "no TFLite runtime is installed: pip install ai-edge-litert "
                "(on 32-bit ARM: pip install tflite-runtime 'numpy<2')"
            ) from error
    return Interpreter


def make_interpreter(model: str | os.PathLike[str], threads: int | None = None) -> Any:
    """Load a `.tflite` file and make it ready to invoke.

    Args:
        model: path of the file.
        threads: threads for invoking; at most (and by default) the cores there are.

    Raises:
        ModelError: the file is missing or no TFLite model that this runtime can run.
        RuntimeMissingError: there is no working runtime.
    """
    interpreter_class = _interpreter_class()
    try:
        with Path(model).open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise ModelError(f"{model}: cannot be opened ({_reason(error)})") from error
    if head[4:] != b"TFL3":  # the flatbuffer's file identifier
        raise ModelError(f"{model}: not a TFLite model; make one with: edgebee convert")
    threads = min(threads or usable_cores(), usable_cores())
    try:
        interpreter = interpreter_class(model_path=os.fspath(model), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{model}: damaged, or too new for this runtime ({_reason(error)}); "
            "copy it again or update the runtime"
        ) from error
    return interpreter


def read_labels(model: str | os.PathLike[str]) -> tuple[str, ...]:
    """The label names inside a model file (a zip appended to it), or in `labels.txt` beside it.

    Raises:
        ModelError: there are none.
    """
    try:
        if zipfile.is_zipfile(model):
            with zipfile.ZipFile(model) as archive:
                text = archive.read(LABELS_NAME).decode()
        else:
            text = Path(model).with_name(LABELS_NAME).read_text(encoding="utf-8")
    except (KeyError, OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{model}: carries no label names; put a {LABELS_NAME} (one name a line) beside it"
        ) from error
    return tuple(line for line in text.splitlines() if line)


def invoke(interpreter: Any, pixels: Pixels) -> Scores:
    """Run the model on one photo.

    Args:
        interpreter: from `make_interpreter`.
        pixels: `uint8 [H, W, 3]` as `read_photo` gives them. A float model gets the same
            values 0-255 as floats (its rescaling is inside), an int8 one the values -128.

    Returns:
        `float32 [labels]`, 0-1, one score per label.
    """
    entry = interpreter.get_input_details()[0]
    if entry["dtype"] == np.uint8:
        values: npt.NDArray[Any] = pixels
    elif entry["dtype"] == np.int8:
        values = (pixels ^ np.uint8(0x80)).view(np.int8)
    else:
        values = pixels.astype(entry["dtype"])
    interpreter.set_tensor(entry["index"], values[np.newaxis])
    interpreter.invoke()
    exit_ = interpreter.get_output_details()[0]
    raw = interpreter.get_tensor(exit_["index"])[0]
    scale, zero_point = exit_["quantization"]  # real value = scale * (value - zero point)
    scores: Scores = raw.astype(np.float32)
    return (scores - np.float32(zero_point)) * np.float32(scale) if scale else scores


# ---------------------------------------------------------------- scores -> answer


def rank(scores: Scores, top_k: int | None = None) -> list[int]:
    """Indices of the `top_k` (default: all) best scores, best first; ties keep their order."""
    order: list[int] = np.argsort(-scores, kind="stable")[:top_k].tolist()
    return order


@dataclass(frozen=True)
class Answer:
    """What the model says of one photo."""

    label: str
    """The best label, or `unknown` when its score is below the threshold."""
    score: float
    """The best score, 0-1."""
    scores: Mapping[str, float]
    """Label -> score, best first."""
    decode_ms: float
    invoke_ms: float


class Classifier:
    """A loaded model: call it with a photo, get an `Answer`.

    Args:
        model: path of a `.tflite` file with one image input and one score per label.
        threads: threads for invoking; at most (and by default) the cores there are.
        top_k: how many labels to list in `Answer.scores`; default all.
        threshold: below this score the label is `unknown`.

    Raises:
        EdgeError: the file cannot be used, or there is no working TFLite runtime.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        threads: int | None = None,
        top_k: int | None = None,
        threshold: float = 0.0,
    ) -> None:
        self.interpreter = make_interpreter(model, threads)
        self.labels = read_labels(model)
        self.top_k, self.threshold = top_k, threshold
        shape = self.interpreter.get_input_details()[0]["shape"].tolist()
        outputs = self.interpreter.get_output_details()[0]["shape"].tolist()
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise ModelError(f"{model}: takes {shape}, not one RGB photo [1, H, W, 3]")
        if outputs != [1, len(self.labels)]:
            raise ModelError(f"{model}: gives {outputs} scores for {len(self.labels)} label names")
        self.size = (shape[1], shape[2])
        """Height and width of the model's input, in pixels."""

    def __call__(self, photo: Photo) -> Answer:
        """Answer for one photo (anything that `read_photo` takes).

        Raises:
            PhotoError: the photo cannot be read.
        """
        start = time.perf_counter()
        pixels = read_photo(photo, self.size)
        decoded = time.perf_counter()
        scores = invoke(self.interpreter, pixels)
        invoked = time.perf_counter()
        order = rank(scores, self.top_k)
        best = float(scores[order[0]])
        return Answer(
            label=self.labels[order[0]] if best >= self.threshold else UNKNOWN,
            score=best,
            scores={self.labels[index]: float(scores[index]) for index in order},
            decode_ms=(decoded - start) * 1e3,
            invoke_ms=(invoked - decoded) * 1e3,
        )


def find_model() -> Path:
    """The model to use when none is named.

    The newest `artifacts/*int8*.tflite` of the working folder, else the model that ships
    with edgebee, else the only `.tflite` beside this file.

    Raises:
        ModelError: there is none.
    """
    trained = sorted(Path("artifacts").glob("*int8*.tflite"), key=lambda path: path.stat().st_mtime)
    here = Path(__file__).resolve().parent
    for candidates in (
        trained,
        sorted(here.glob("models/*.tflite")),
        sorted(here.glob("*.tflite")),
    ):
        if candidates:
            return candidates[-1]
    raise ModelError("no model found: name one with -m MODEL.tflite, or make one: edgebee convert")


# ---------------------------------------------------------------- command line


def _text_line(path: Path, answer: Answer, top_k: int) -> str:
    best = list(answer.scores.items())[:top_k]
    ranked = ", ".join(f"{label} {score:.3f}" for label, score in best)
    said = f"{UNKNOWN} ({ranked})" if answer.label == UNKNOWN else ranked
    return f"{path}: {said}  {answer.decode_ms + answer.invoke_ms:.1f} ms"


def _json_line(path: Path, answer: Answer) -> str:
    record = {
        "path": str(path),
        "label": answer.label,
        "score": round(answer.score, 6),
        "scores": {label: round(score, 6) for label, score in answer.scores.items()},
        "ms": {"decode": round(answer.decode_ms, 3), "invoke": round(answer.invoke_ms, 3)},
    }
    return json.dumps(record, ensure_ascii=False)


def _parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Say what is in photos, with a TFLite model made by edgebee.",
        epilog="Exit status: 0 all answered, 1 a photo or model cannot be read, 2 wrong usage.",
    )
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="photo files, or folders to walk")
    add("-m", "--model", help="the .tflite file (default: the newest int8 model in ./artifacts, "
        "else the one that ships with edgebee)")  # fmt: skip
    add("-k", "--top-k", type=int, help="how many labels to list (default: 1; JSON: all)")
    add("-t", "--threshold", type=float, default=0.0,
        help=f"below this score, 0-1, the label is '{UNKNOWN}' (default: 0)")  # fmt: skip
    add("--threads", type=int, help="threads for the model (default and most: all cores)")
    add("--json", action="store_true", help="print JSON Lines")
    options = parser.parse_args(argv)
    for name, number in (("-k/--top-k", options.top_k), ("--threads", options.threads)):
        if number is not None and number < 1:
            parser.error(f"argument {name}: must be 1 or more")
    if not 0 <= options.threshold <= 1:
        parser.error("argument -t/--threshold: must lie between 0 and 1")
    return options


def _answer_all(classifier: Classifier, options: argparse.Namespace) -> int:
    """Print an answer or an error for each photo; return the exit status."""
    answered = failed = 0
    for path in find_photos(options.photos):
        try:
            answer = classifier(path)
        except PhotoError as error:
            failed += 1
            if options.json:
                print(json.dumps({"path": str(path), "error": str(error)}, ensure_ascii=False))
            print(f"error: {error}", file=sys.stderr)
            continue
        answered += 1
        if options.json:
            print(_json_line(path, answer), flush=True)
        else:
            print(_text_line(path, answer, options.top_k or 1), flush=True)
    if not answered and not failed:
        print(f"error: no photos in {', '.join(options.photos)}", file=sys.stderr)
    return 0 if answered and not failed else 1


@contextlib.contextmanager
def _silent_runtime() -> Iterator[None]:
    """Drop what the runtime writes about itself; its errors come as exceptions anyway."""
    sys.stderr.flush()
    real, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        os.close(nowhere)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line; returns the exit status (2, wrong usage, is raised as SystemExit)."""
    options = _parse(argv, prog)
    try:
        with _silent_runtime():
            classifier = Classifier(
                options.model or find_model(),
                threads=options.threads,
                top_k=options.top_k,
                threshold=options.threshold,
            )
        return _answer_all(classifier, options)
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
