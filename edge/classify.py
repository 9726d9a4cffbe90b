#!/usr/bin/env python3
"""Say what is in a photo, with a TFLite model made by edgebee.

This one file and a model are all a Raspberry Pi needs, besides NumPy, Pillow and either
`ai-edge-litert` or `tflite-runtime`:  python classify.py -m model_int8.tflite photo.jpg

    from classify import Classifier  # as a library; expected failures are EdgeErrors
    answer = Classifier("model_int8.tflite")("photo.jpg")
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import struct
import sys
import time
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

__all__ = [
    "LABELS_NAME", "PHOTO_SUFFIXES", "UNKNOWN", "Answer", "Classifier", "EdgeError", "ModelError",
    "PhotoError", "RuntimeMissingError", "find_model", "find_photos", "invoke", "main",
    "make_interpreter", "rank", "read_labels", "read_photo", "usable_cores"]  # fmt: skip

PHOTO_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
LABELS_NAME = "labels.txt"
UNKNOWN = "unknown"  # the label of an answer whose best score is below the threshold
Pixels: TypeAlias = npt.NDArray[np.uint8]
Scores: TypeAlias = npt.NDArray[np.float32]
StrPath: TypeAlias = str | os.PathLike[str]
Photo: TypeAlias = StrPath | bytes | BinaryIO | Image.Image | Pixels
_RESAMPLING = Image.Resampling.BICUBIC
_TURNS = {  # EXIF orientation -> what turns such a picture upright (CIPA DC-008)
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_DECODE_FAULTS = (  # what Pillow's decoders raise for damaged files
    OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    EOFError, MemoryError, struct.error, Image.DecompressionBombError)  # fmt: skip


class EdgeError(Exception):
    """An expected failure; its message names the file and the remedy, in one line."""


class PhotoError(EdgeError):
    """A photo that cannot be read."""


class ModelError(EdgeError):
    """A model that cannot be used."""


class RuntimeMissingError(EdgeError):
    """No TFLite runtime works here."""


# ---------------------------------------------------------------- photo -> pixels
def read_photo(source: Photo, size: tuple[int, int] = (224, 224)) -> Pixels:
    """Read a photo the one way edgebee does: training, calibration, benchmark and Pi.

    The picture is turned upright (EXIF), its short side scaled to `size` and its centre cut
    out: nothing is squashed. A JPEG is scaled while it is decoded. Of an animation the first
    frame is read; what is transparent becomes white; 16-bit values keep their upper 8 bits.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image or
            `uint8 [H, W, 3]` RGB pixels; the last two are left as they are.
        size: height and width of the result, in pixels.

    Returns:
        `uint8 [height, width, 3]`, RGB, 0-255.

    Raises:
        PhotoError: the source is no picture or a damaged one.
    """
    try:
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.shape[2:] != (3,) or not source.size:
                raise ValueError(f"{source.dtype} {list(source.shape)}, not uint8 [H, W, 3]")
            source = Image.fromarray(source)
        if isinstance(source, Image.Image):
            return _fit(source, size, None)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            # Decode a JPEG at the smallest scale that covers `size`. Its last row and column may
            # then be partly padding; the box that `draft` returns is the picture's true extent.
            drafted = image.draft("RGB", (max(size), max(size)))
            return _fit(image, size, drafted[1][2:] if drafted else None)
    except _DECODE_FAULTS as error:
        name = source if isinstance(source, (str, os.PathLike)) else "photo"
        raise PhotoError(f"{name}: unreadable ({_reason(error)}); check or replace it") from error


def _fit(image: Image.Image, size: tuple[int, int], extent: Sequence[float] | None) -> Pixels:
    """Scale and centre-crop to `size` (height, width), upright; `extent` is (width, height)."""
    image.load()
    orientation = 1
    if image.format != "TIFF":  # Pillow turns TIFF while loading; the tag may still be there
        with contextlib.suppress(*_DECODE_FAULTS):  # broken EXIF leaves the pixels as good
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    height, width = size[::-1] if orientation in (5, 6, 7, 8) else size  # stored on its side
    full_width, full_height = extent or image.size
    crop_width = min(full_width, full_height * width / height)
    crop_height = min(full_height, full_width * height / width)
    left, top = (full_width - crop_width) / 2, (full_height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    image = _as_rgb(image).resize((width, height), _RESAMPLING, box, reducing_gap=3.0)
    return np.asarray(image.transpose(_TURNS[orientation]) if orientation in _TURNS else image)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point values have no agreed range")
    if image.mode.startswith("I"):  # 16-bit grey; a plain convert() would clip it to white
        values = np.asarray(image).astype(np.int32).clip(0, 65535)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "RGBa", "LA", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(error: BaseException) -> str:
    """A few words for a library's complaint, without object addresses or paths."""
    text: str = getattr(error, "strerror", None) or str(error).strip().split("\n", 1)[0]
    return "not a picture" if text.startswith("cannot identify") else text or type(error).__name__


def find_photos(paths: Iterable[StrPath]) -> Iterator[Path]:
    """Yield files as they are and, for folders, the photos below them, sorted, hidden ones not."""
    for path in map(Path, paths):
        unlisted: list[OSError] = []  # plain files, and folders that reading will complain of
        for folder, subfolders, names in os.walk(path, onerror=unlisted.append):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for found in (Path(folder, name) for name in sorted(names)):
                if found.suffix.lower() in PHOTO_SUFFIXES and not found.name.startswith("."):
                    yield found
        yield from (Path(error.filename) for error in unlisted)


# ---------------------------------------------------------------- model -> scores
def usable_cores() -> int:
    """The cores this process may run on; more threads than that are far slower, not faster."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _runtime() -> Any:
    """The `interpreter` module of LiteRT, else of tflite-runtime, its predecessor."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("ai_edge_litert.interpreter")
    if int(np.__version__.split(".")[0]) > 1 and importlib.util.find_spec("tflite_runtime"):
        # It was built for NumPy 1. Importing it would work, using it kills the process.
        raise RuntimeMissingError("tflite-runtime crashes with NumPy 2: pip install 'numpy<2'")
    try:
        return importlib.import_module("tflite_runtime.interpreter")
    except ImportError as error:
        remedy = "pip install ai-edge-litert (32-bit ARM: pip install tflite-runtime 'numpy<2')"
        raise RuntimeMissingError(f"no TFLite runtime is installed: {remedy}") from error


def make_interpreter(model: StrPath, threads: int | None = None) -> Any:
    """Load a `.tflite` file, to be invoked on `threads`: at most, and by default, all cores.

    Raises ModelError for what is no model that can run here, RuntimeMissingError without runtime.
    """
    try:
        content = Path(model).read_bytes()
    except OSError as error:
        raise ModelError(f"{model}: cannot be opened ({_reason(error)}); check its name") from error
    if content[4:8] != b"TFL3":  # the flatbuffer's file identifier
        raise ModelError(f"{model}: not a TFLite model; make one with: edgebee convert")
    if LABELS_NAME.encode() in content and not zipfile.is_zipfile(model):
        # Named in the metadata but lost with the file's end; tflite-runtime may crash on the rest.
        raise ModelError(f"{model}: cut short after {len(content)} bytes; copy it again")
    threads = min(threads or usable_cores(), usable_cores())
    try:
        interpreter = _runtime().Interpreter(model_path=os.fspath(model), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        problem = f"damaged, or too new for this runtime ({_reason(error)})"
        raise ModelError(f"{model}: {problem}; copy it again or update the runtime") from error
    return interpreter


def read_labels(model: StrPath) -> tuple[str, ...]:
    """The label names inside a model file (a zip appended to it), or in `labels.txt` beside it.

    Raises ModelError when there are none.
    """
    try:
        try:
            with zipfile.ZipFile(model) as archive:
                content = archive.read(LABELS_NAME)
        except (KeyError, zipfile.BadZipFile):
            content = Path(model).with_name(LABELS_NAME).read_bytes()
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        remedy = f"copy it again, or put a {LABELS_NAME} (UTF-8, one name a line) beside it"
        raise ModelError(f"{model}: no label names ({_reason(error)}); {remedy}") from error
    return tuple(line for line in lines if line)


def invoke(interpreter: Any, pixels: Pixels) -> Scores:
    """Run a model from `make_interpreter` on `uint8 [H, W, 3]` pixels from `read_photo`.

    A float model gets the same values 0-255 as floats (its rescaling is inside), an int8
    model gets them less 128.

    Returns:
        `float32 [labels]`, 0-1, one score per label.
    """
    entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if entry["dtype"] == np.int8:
        values: npt.NDArray[Any] = (pixels ^ np.uint8(0x80)).view(np.int8)
    else:
        values = pixels.astype(entry["dtype"], copy=False)
    interpreter.set_tensor(entry["index"], values[np.newaxis])
    interpreter.invoke()
    scores: Scores = interpreter.get_tensor(output["index"])[0].astype(np.float32)
    scale, zero_point = output["quantization"]  # real value = scale * (value - zero point)
    return (scores - np.float32(zero_point)) * np.float32(scale) if scale else scores


# ---------------------------------------------------------------- scores -> answer
def rank(scores: Scores, top_k: int | None = None) -> list[int]:
    """Indices of the `top_k` (default: all) best scores, best first; ties keep their order."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:top_k]]


@dataclass(frozen=True)
class Answer:
    """What the model says of one photo: scores 0-1, times in milliseconds."""

    label: str  # `unknown` when the best score is below the threshold
    score: float  # the best one
    scores: Mapping[str, float]  # label -> score, best first
    decode_ms: float
    invoke_ms: float


class Classifier:
    """A loaded model: call it with a photo, get an `Answer`. Raises EdgeError if it cannot be used.

    Args:
        model: path of a `.tflite` file with one image input and one score per label.
        threads: threads for invoking; at most (and by default) the cores there are.
        top_k: how many labels to list in `Answer.scores`; default all.
        threshold: below this score the label is `unknown`.
    """

    def __init__(
        self, model: StrPath, *, threads: int | None = None, top_k: int | None = None,
        threshold: float = 0.0,
    ) -> None:  # fmt: skip
        self.interpreter = make_interpreter(model, threads)
        self.labels = read_labels(model)
        self.top_k, self.threshold = top_k, threshold
        shape = self.interpreter.get_input_details()[0]["shape"].tolist()
        outputs = self.interpreter.get_output_details()[0]["shape"].tolist()
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise ModelError(f"{model}: takes {shape}, not one RGB photo [1, H, W, 3]")
        if outputs != [1, len(set(self.labels))]:
            names = f"{len(set(self.labels))} different label names"
            raise ModelError(f"{model}: gives {outputs} scores for {names}; convert it again")
        self.size = (shape[1], shape[2])  # height and width of the input, in pixels

    def __call__(self, photo: Photo) -> Answer:
        """Answer for one photo; takes and raises what `read_photo` does."""
        start = time.perf_counter()
        pixels = read_photo(photo, self.size)
        decoded = time.perf_counter()
        scores = invoke(self.interpreter, pixels)
        ms = (decoded - start) * 1e3, (time.perf_counter() - decoded) * 1e3
        order = rank(scores)
        best = float(scores[order[0]])
        label = self.labels[order[0]] if best >= self.threshold else UNKNOWN
        listed = {self.labels[index]: float(scores[index]) for index in order[: self.top_k]}
        return Answer(label, best, listed, *ms)


def find_model() -> Path:
    """The newest `artifacts/*int8*.tflite`, else the model that ships, or lies beside a lone file.

    Raises ModelError when there is none.
    """
    here = Path(__file__).resolve().parent
    places = ("artifacts", "*int8*.tflite"), (here / "models", "*.tflite"), (here, "*.tflite")
    for folder, pattern in places:
        found = [path for path in Path(folder).glob(pattern) if not path.name.startswith(".")]
        if found:
            return max(found, key=lambda path: (path.stat().st_mtime, path.name))
    raise ModelError("no model found: name one with -m MODEL.tflite, or make one: edgebee convert")


# ---------------------------------------------------------------- command line
def _parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog, description="Say what is in photos.")
    parser.epilog = "Exit status: 0 all answered, 1 a photo or model failed, 2 wrong usage."
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="photo files, or folders to walk")
    add("-m", "--model", help=".tflite file (default: newest int8 in ./artifacts, else as shipped)")
    add("-k", "--top-k", type=int, help="how many labels to list (default: 1; JSON: all)")
    add("-t", "--threshold", type=float, default=0.0, help=f"lower scores, 0-1, are '{UNKNOWN}'")
    add("--threads", type=int, help="threads for the model (default and most: all cores)")
    add("--json", action="store_true", help="print JSON Lines")
    args = parser.parse_args(argv)
    counts = [count for count in (args.top_k, args.threads) if count is not None]
    if min(counts, default=1) < 1 or not 0 <= args.threshold <= 1:
        parser.error("--top-k and --threads must be 1 or more, --threshold between 0 and 1")
    return args


def _line(path: Path, answer: Answer, as_json: bool) -> str:
    if as_json:
        ms = {"decode": round(answer.decode_ms, 3), "invoke": round(answer.invoke_ms, 3)}
        said = {"label": answer.label, "score": answer.score, "scores": answer.scores, "ms": ms}
        return json.dumps({"path": str(path), **said})
    ranked = ", ".join(f"{label} {score:.3f}" for label, score in answer.scores.items())
    ranked = f"{UNKNOWN} ({ranked})" if answer.label == UNKNOWN else ranked
    return f"{path}: {ranked}  {answer.decode_ms + answer.invoke_ms:.1f} ms"


def _answer_all(args: argparse.Namespace) -> int:
    top_k = args.top_k or (None if args.json else 1)
    with _silent_runtime():
        classifier = Classifier(
            args.model or find_model(), threads=args.threads, top_k=top_k, threshold=args.threshold
        )
    answered = failed = 0
    for path in find_photos(args.photos):
        try:
            print(_line(path, classifier(path), args.json), flush=True)
            answered += 1
        except PhotoError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            if args.json:
                print(json.dumps({"path": str(path), "error": str(error)}), flush=True)
    if not answered and not failed:
        print(f"error: no photos in {', '.join(args.photos)}", file=sys.stderr)
    return 0 if answered and not failed else 1


@contextlib.contextmanager
def _silent_runtime() -> Iterator[None]:
    """Drop what the runtime writes about itself; its errors come as exceptions anyway."""
    real = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line; returns the exit status (2, wrong usage, is raised as SystemExit)."""
    warnings.filterwarnings("ignore", module="PIL")  # remarks on odd files
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names in no known encoding
    try:
        return _answer_all(_parse(argv, prog))
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as shells report an end by Ctrl-C
    except OSError as error:  # standard output cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader (`| head`) has seen enough
            return 0
        print(f"error: standard output: {_reason(error)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
