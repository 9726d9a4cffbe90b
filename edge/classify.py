#!/usr/bin/env python3
"""Say what is in a photo, with a TFLite model made by edgebee.

This one file and a model are all a Raspberry Pi needs, besides NumPy, Pillow and either
`ai-edge-litert` or `tflite-runtime`:  python classify.py -m model_int8.tflite photo.jpg

    from classify import Classifier  # as a library; expected failures are EdgeErrors
    answer = Classifier("model_int8.tflite")("photo.jpg")
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import struct
import sys
import threading
import time
import warnings
import zipfile
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:  # for the type checker alone: it would slow the start down
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO, TypeAlias, TypeVar

    Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
    Scores: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
    StrPath: TypeAlias = str | os.PathLike[str]
    Photo: TypeAlias = StrPath | bytes | BinaryIO | Image.Image | Pixels
    AnyPhoto = TypeVar("AnyPhoto", bound=Photo)

__all__ = [
    "CSV_HEADER", "LABELS_NAME", "PHOTO_SUFFIXES", "UNKNOWN", "Answer", "Classifier", "EdgeError",
    "ModelError", "PhotoError", "RuntimeMissingError", "SelfTest", "exit_status", "find_model",
    "find_photos", "invoke", "load_classifier", "main", "make_interpreter", "make_parser",
    "parse", "print_answers", "rank", "read_labels", "read_manifest", "read_photo", "render",
    "selftest", "usable_cores"]  # fmt: skip

PHOTO_SUFFIXES = frozenset(".bmp .gif .heic .heif .jpeg .jpg .png .tif .tiff .webp".split())
LABELS_NAME = "labels.txt"  # in the zip behind the model, as the TFLite metadata standard has it
UNKNOWN = "unknown"  # the label of an answer whose best score is below the threshold
CSV_HEADER = "path,label,score,scores,decode_ms,invoke_ms,error"
_PACKED_LIMIT_BYTES = 4_000_000
_ORIENTATION = 0x0112  # the EXIF tag, and what turns a picture of each value upright (CIPA DC-008)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_FAULTS = (  # what Pillow's decoders, zipfile and the runtime raise for damaged files
    OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    EOFError, MemoryError, RuntimeError, struct.error, Image.DecompressionBombError,
    zipfile.BadZipFile)  # fmt: skip


class EdgeError(Exception):
    """An expected failure; its message names the file and the remedy, in one line."""


class PhotoError(EdgeError):
    """A photo that cannot be read."""


class ModelError(EdgeError):
    """A model that cannot be used."""


class RuntimeMissingError(EdgeError):
    """No TFLite runtime works here."""


@contextlib.contextmanager
def _told(kind: type[EdgeError], problem: str, remedy: str) -> Iterator[None]:
    """Raise what libraries complain of as one of ours."""
    try:
        yield
    except _FAULTS as error:
        raise kind(f"{problem} ({_reason(error)}); {remedy}") from error


def _reason(error: BaseException) -> str:
    """A few words for a library's complaint, without object addresses or paths."""
    text: str = getattr(error, "strerror", None) or str(error).strip().split("\n", 1)[0]
    return "not a picture" if text.startswith("cannot identify") else text or type(error).__name__


# ---------------------------------------------------------------- photo -> pixels
def read_photo(source: Photo, size: tuple[int, int] = (224, 224)) -> Pixels:
    """Read a photo the one way edgebee does: training, calibration, benchmark and Pi.

    It is turned upright (EXIF), its short side scaled to `size` (height, width) and its centre
    cut out: nothing is squashed. A JPEG is scaled while it is decoded. Of an animation the first
    frame is read; what is transparent becomes white; 16-bit values keep their upper 8 bits.

    `source` is a path, the bytes of a file, an open binary file, a Pillow image or
    `uint8 [H, W, 3]` RGB pixels; the last two are left as they are.

    Returns `uint8 [height, width, 3]`, RGB, 0-255.
    Raises PhotoError for what is no picture, is damaged, or is larger than Pillow allows.
    """
    name = source if isinstance(source, (str, os.PathLike)) else "photo"
    with _told(PhotoError, f"{name}: unreadable", "check or replace it"):
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.shape[2:] != (3,) or not source.size:
                raise ValueError(f"{source.dtype} {list(source.shape)}, not uint8 [H, W, 3]")
            source = Image.fromarray(source)
        if isinstance(source, Image.Image):
            return _fit(source, size, None)
        with _open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            # Decode a JPEG at the smallest scale that covers `size`. Its last row and column may
            # then be partly padding; the box that `draft` returns is the picture's true extent.
            drafted = image.draft("RGB", (max(size), max(size)))
            return _fit(image, size, drafted[1][2:] if drafted else None)


def _open(source: StrPath | BinaryIO) -> Image.Image:
    try:
        return Image.open(source)
    except Image.UnidentifiedImageError:  # perhaps HEIC, which takes a plug-in
        if "HEIF" in Image.OPEN or not importlib.util.find_spec("pillow_heif"):
            raise
        importlib.import_module("pillow_heif").register_heif_opener()
        return Image.open(source)


def _fit(image: Image.Image, size: tuple[int, int], extent: Sequence[float] | None) -> Pixels:
    """Scale and centre-crop to `size` (height, width), upright; `extent` is (width, height)."""
    image.load()
    orientation = 1
    if image.format != "TIFF":  # Pillow turns TIFF while loading; the tag may still be there
        with contextlib.suppress(*_FAULTS):  # broken EXIF leaves the pixels as good
            orientation = image.getexif().get(_ORIENTATION, 1)
    height, width = size[::-1] if orientation in (5, 6, 7, 8) else size  # stored on its side
    full_width, full_height = extent or image.size
    crop_width = min(full_width, full_height * width / height)
    crop_height = min(full_height, full_width * height / width)
    left, top = (full_width - crop_width) / 2, (full_height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    image = _as_rgb(image).resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
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
    for package in ("ai_edge_litert", "tflite_runtime"):
        old = package == "tflite_runtime" and importlib.util.find_spec(package)
        if old and int(np.__version__.split(".")[0]) > 1:
            # It was built for NumPy 1. Importing it would work, using it kills the process.
            raise RuntimeMissingError("tflite-runtime crashes with NumPy 2: pip install 'numpy<2'")
        with contextlib.suppress(ImportError):
            return importlib.import_module(f"{package}.interpreter")
    remedy = "pip install ai-edge-litert (32-bit ARM: pip install tflite-runtime 'numpy<2')"
    raise RuntimeMissingError(f"no TFLite runtime is installed: {remedy}")


def make_interpreter(model: StrPath, threads: int | None = None) -> Any:
    """Load a `.tflite` file, to be invoked on `threads`: at most, and by default, all cores.

    Raises ModelError for what is no model that can run here, RuntimeMissingError without runtime.
    """
    with _told(ModelError, f"{model}: cannot be opened", "check its name"):
        content = Path(model).read_bytes()
    if content[4:8] != b"TFL3":  # the flatbuffer's file identifier
        raise ModelError(f"{model}: not a TFLite model; make one with: edgebee convert")
    if LABELS_NAME.encode() in content and not zipfile.is_zipfile(model):
        # Named in the metadata but lost with the file's end; tflite-runtime may crash on the rest.
        raise ModelError(f"{model}: cut short after {len(content)} bytes; copy it again")
    threads, make = min(threads or usable_cores(), usable_cores()), _runtime().Interpreter
    problem = f"{model}: damaged, or too new for this runtime"
    with _told(ModelError, problem, "copy it again or update the runtime"):
        interpreter = make(model_path=os.fspath(model), num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def _packed(model: StrPath, name: str) -> bytes:
    """A file in the zip behind the model, or nothing; raises ModelError for a damaged one."""
    with _told(ModelError, f"{model}: {name} in it is damaged", "copy it again"):
        if not zipfile.is_zipfile(model):
            return b""
        with zipfile.ZipFile(model) as archive:
            member = archive.NameToInfo.get(name)
            if member and member.file_size > _PACKED_LIMIT_BYTES:
                raise ValueError(f"{member.file_size} bytes are too many")
            return archive.read(name) if member else b""


def read_labels(model: StrPath) -> tuple[str, ...]:
    """The label names inside a model file (a zip appended to it), or in `labels.txt` beside it.

    Raises ModelError when there are none.
    """
    remedy = f"copy it again, or put a {LABELS_NAME} (UTF-8, one name a line) beside it"
    with _told(ModelError, f"{model}: no label names", remedy):
        beside = Path(model).with_name(LABELS_NAME)
        content = _packed(model, LABELS_NAME) or beside.read_bytes()
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    return tuple(line for line in lines if line)


def read_manifest(model: StrPath) -> dict[str, Any]:
    """What `edgebee convert` wrote into the file about the model; `{}` if it was made elsewhere."""
    with _told(ModelError, f"{model}: edgebee.json in it is damaged", "copy it again"):
        manifest = json.loads(_packed(model, "edgebee.json") or b"{}")
    return manifest if isinstance(manifest, dict) else {}


def invoke(interpreter: Any, pixels: Pixels) -> Scores:
    """Run a model from `make_interpreter` on `uint8 [H, W, 3]` pixels from `read_photo`.

    They go straight into the model's own memory: as they are, less 128 for an int8 model, as
    floats 0-255 for a float model (its rescaling is inside).

    Returns `float32 [labels]`, 0-1, one score per label.
    """
    entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    tensor = interpreter.tensor(entry["index"])()[0]
    if entry["dtype"] == np.int8:
        np.bitwise_xor(pixels, np.uint8(0x80), out=tensor.view(np.uint8))
    else:
        np.copyto(tensor, pixels)
    del tensor  # the runtime does not work while anybody holds its memory
    interpreter.invoke()
    scores: Scores = interpreter.get_tensor(output["index"])[0].astype(np.float32)
    scale, zero_point = output["quantization"]  # real value = scale * (value - zero point)
    return (scores - np.float32(zero_point)) * np.float32(scale) if scale else scores


@dataclass(frozen=True)
class SelfTest:
    """How this device's scores of the model's golden samples compare with the recorded ones."""

    passed: bool  # no score differs by more than the tolerance
    equal: bool  # to the bit
    kernels: str  # whose recorded scores are nearest: `xnnpack` or `builtin`
    samples: int
    difference: float  # the greatest, 0-1
    tolerance: float


def selftest(model: StrPath, threads: int | None = None) -> SelfTest:
    """Run the golden samples that travel inside a model; ModelError when there are none."""
    interpreter, golden = make_interpreter(model, threads), read_manifest(model).get("golden")
    if not golden:
        raise ModelError(f"{model}: no golden samples in it to test with; convert it again")
    gaps: dict[str, float] = {}
    with _told(ModelError, f"{model}: its golden samples are damaged", "copy it again"):
        height, width = interpreter.get_input_details()[0]["shape"][1:3].tolist()
        for sample in golden["samples"]:
            small = np.asarray(Image.open(io.BytesIO(_packed(model, sample["file"]))))
            rows = np.arange(height) * small.shape[0] // height  # enlarged by repetition
            columns = np.arange(width) * small.shape[1] // width
            scores = invoke(interpreter, small[rows][:, columns])
            for kernels, expected in sample["scores"].items():
                gap = float(np.abs(scores - np.array(expected, np.float32)).max())
                gaps[kernels] = max(gap, gaps.get(kernels, 0.0))
        gap, kernels = min((gap, kernels) for kernels, gap in gaps.items())
        samples, tolerance = len(golden["samples"]), float(golden["tolerance"])
    return SelfTest(gap <= tolerance, gap == 0, kernels, samples, gap, tolerance)


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
    """A loaded model: call it with a photo, get an `Answer`. Several threads may share it.

    `model` is the path of a `.tflite` file with one image input and one score per label;
    `threads` invoke it, at most (and by default) one per core. An answer lists `top_k` labels,
    default all; below `threshold`, default the model's own or else 0, it is `unknown`.

    Raises EdgeError if the model cannot be used.
    """

    def __init__(
        self, model: StrPath, *, threads: int | None = None, top_k: int | None = None,
        threshold: float | None = None,
    ) -> None:  # fmt: skip
        self.model, self.top_k, self.threshold = model, top_k, threshold or 0.0
        self.interpreter = make_interpreter(model, threads)
        self.labels = read_labels(model)
        if threshold is None:
            self.threshold = (read_manifest(model).get("scores") or {}).get("threshold") or 0.0
        shape = self.interpreter.get_input_details()[0]["shape"].tolist()
        outputs = self.interpreter.get_output_details()[0]["shape"].tolist()
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise ModelError(f"{model}: takes {shape}, not one RGB photo [1, H, W, 3]")
        if outputs != [1, len(set(self.labels))]:
            names = f"{len(set(self.labels))} different label names"
            raise ModelError(f"{model}: gives {outputs} scores for {names}; convert it again")
        self.size = (shape[1], shape[2])  # height and width of the input, in pixels
        self._turn = threading.Lock()  # an interpreter serves one caller at a time
        self._idle = [(self.interpreter, self._turn)] if threads == 1 else []

    def __call__(self, photo: Photo) -> Answer:
        """Answer for one photo; takes and raises what `read_photo` does."""
        return self._answer(photo, self.interpreter, self._turn)

    def _answer(self, photo: Photo, interpreter: Any, turn: threading.Lock) -> Answer:
        start = time.perf_counter()
        pixels = read_photo(photo, self.size)
        decoded = time.perf_counter()
        with turn:
            started = time.perf_counter()
            scores = invoke(interpreter, pixels)
        ms = (decoded - start) * 1e3, (time.perf_counter() - started) * 1e3
        order = rank(scores)
        best = float(scores[order[0]])
        label = self.labels[order[0]] if best >= self.threshold else UNKNOWN
        listed = {self.labels[index]: float(scores[index]) for index in order[: self.top_k]}
        return Answer(label, best, listed, *ms)

    def _attempt(self, photo: Photo) -> Answer | PhotoError:
        """An answer from an interpreter of its own, with one thread."""
        try:
            own = self._idle.pop()
        except IndexError:
            own = make_interpreter(self.model, 1), threading.Lock()
        try:
            return self._answer(photo, *own)
        except PhotoError as error:
            return error
        finally:
            self._idle.append(own)

    def classify_many(
        self, photos: Iterable[AnyPhoto], *, workers: int | None = None
    ) -> Iterator[tuple[AnyPhoto, Answer | PhotoError]]:
        """Yield each photo with its answer, or with what is wrong with it, in order.

        `workers`, at most and by default one per core, decode and invoke at the same time. They
        are never more than a few photos ahead: `photos` may be endless.
        """
        from concurrent.futures import ThreadPoolExecutor

        count = min(workers or usable_cores(), usable_cores())
        pool, pending = ThreadPoolExecutor(count), deque()
        try:
            for photo in photos:
                pending.append((photo, pool.submit(self._attempt, photo)))
                while len(pending) > 4 * count or pending and pending[0][1].done():
                    photo, answer = pending.popleft()
                    yield photo, answer.result()
            for photo, answer in pending:
                yield photo, answer.result()
        finally:
            pool.shutdown(cancel_futures=True)


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
def make_parser(prog: str | None = None) -> ArgumentParser:
    """The options of this file; `edgebee classify` adds to them. Use with `parse`."""
    import argparse

    parser = argparse.ArgumentParser(prog, description="Say what is in photos.")
    parser.epilog = "Exit status: 0 all answered, 1 a photo or model failed, 2 wrong usage."
    add = parser.add_argument
    add("photos", nargs="*", metavar="PHOTO", help="photo files, or folders to walk")
    add("-m", "--model", help=".tflite file (default: newest int8 in ./artifacts, else as shipped)")
    add("-k", "--top-k", type=int, help="how many labels to list (default: 1; JSON, CSV: all)")
    add("-t", "--threshold", type=float,
        help=f"lower scores, 0-1, are '{UNKNOWN}' (default: the model's own, else 0)")  # fmt: skip
    add("--threads", type=int, help="photos to work on at a time (default and most: all cores)")
    add("--format", choices=["text", "json", "csv"], default="text", help="of the answers")
    add("--json", action="store_const", dest="format", const="json", help="print JSON Lines")
    add("--max-megapixels", type=int, help="refuse larger photos (default: 178)")
    add("--selftest", action="store_true", help="try the model's golden samples on this device")
    return parser


def parse(parser: ArgumentParser, argv: Sequence[str] | None = None) -> Namespace:
    """Arguments within their ranges; anything else ends the program with status 2."""
    args = parser.parse_args(argv)
    counts = [n for n in (args.top_k, args.threads, args.max_megapixels) if n is not None]
    if min(counts, default=1) < 1 or not 0 <= (args.threshold or 0) <= 1:
        parser.error("--threshold must be between 0 and 1, other numbers 1 or more")
    return args


def load_classifier(args: Namespace, threads: int | None = None) -> Classifier:
    """The model that was asked for, invoked by `threads`; the runtime's remarks are dropped."""
    if args.max_megapixels:
        Image.MAX_IMAGE_PIXELS = args.max_megapixels * 500_000  # Pillow refuses twice as many
    top_k = args.top_k or (1 if args.format == "text" else None)
    with _silent_runtime():
        model = args.model or find_model()
        return Classifier(model, threads=threads, top_k=top_k, threshold=args.threshold)


def render(path: object, answer: Answer | PhotoError, format_: str) -> str:
    """One line, without its end, as "text", "json" (JSON Lines) or "csv" (below CSV_HEADER)."""
    failed = isinstance(answer, PhotoError)
    if format_ == "text":
        if failed:
            return f"error: {answer}"
        ranked = ", ".join(f"{label} {score:.3f}" for label, score in answer.scores.items())
        ranked = f"{UNKNOWN} ({ranked})" if answer.label == UNKNOWN else ranked
        return f"{path}: {ranked}  {answer.decode_ms + answer.invoke_ms:.1f} ms"
    row: dict[str, Any] = {"path": str(path)}
    if failed:
        row["error"] = str(answer)
    else:
        ms = {"decode": round(answer.decode_ms, 3), "invoke": round(answer.invoke_ms, 3)}
        row |= {"label": answer.label, "score": answer.score, "scores": answer.scores, "ms": ms}
    if format_ == "json":
        return json.dumps(row)
    import csv

    line, ms = io.StringIO(), row.pop("ms", {})
    row |= {f"{name}_ms": value for name, value in ms.items()}
    row["scores"] = json.dumps(row["scores"]) if "scores" in row else ""
    csv.DictWriter(line, CSV_HEADER.split(","), lineterminator="").writerow(row)
    return line.getvalue()


def print_answers(answers: Iterable[tuple[object, Answer | PhotoError]], format_: str) -> int:
    """Print answers as they come, failures to standard error too; return the exit status."""
    status = None
    if format_ == "csv":
        print(CSV_HEADER, flush=True)
    for path, answer in answers:
        failed = isinstance(answer, PhotoError)
        status = 1 if failed else status or 0
        if failed:
            print(f"error: {answer}", file=sys.stderr)
        if format_ != "text" or not failed:
            print(render(path, answer, format_), flush=True)
    if status is None:
        print("error: no photos there", file=sys.stderr)
    return 1 if status is None else status


@contextlib.contextmanager
def _silent_runtime() -> Iterator[None]:
    """Drop what the runtime writes about itself; its errors come as exceptions anyway."""
    real, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        os.close(nowhere)


def exit_status(work: Callable[[], int]) -> int:
    """Do `work` and return its exit status; a failure is told in one line."""
    warnings.filterwarnings("ignore", module="PIL")  # remarks on odd files
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names in no known encoding
    try:
        return work()
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


def run(args: Namespace) -> int:
    """Do what the options of `make_parser` say; return the exit status."""
    if args.selftest:
        with _silent_runtime():
            tested = selftest(args.model or find_model(), args.threads)
        print(json.dumps(asdict(tested)) if args.format == "json" else tested)
        return 0 if tested.passed else 1
    classifier = load_classifier(args, threads=1)
    answers = classifier.classify_many(find_photos(args.photos), workers=args.threads)
    return print_answers(answers, args.format)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line; returns the exit status (2, wrong usage, is raised as SystemExit)."""
    parser = make_parser(prog)
    args = parse(parser, argv)
    if not args.photos and not args.selftest:
        parser.error("the following arguments are required: PHOTO")
    return exit_status(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
