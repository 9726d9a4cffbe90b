#!/usr/bin/env python3
"""Say what is in a photo, with a TFLite model made by edgebee.

All that a Pi needs, besides a model, NumPy, Pillow and `ai-edge-litert` or `tflite-runtime`.
`python classify.py -m MODEL photo.jpg`; `from classify import Classifier; Classifier(MODEL)(photo)`
"""

import gc
import os

if __name__ == "__main__":  # to answer sooner, collect no garbage while loading, and start no
    gc.disable()            # threads for matrices that are never multiplied
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import contextlib
import importlib.util
import io
import itertools
import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, _imaging

MAX_PIXELS = 25_000_000  # larger photos could take more than 512 MB; a JPEG counts as scaled
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP"]  # EPS would run Ghostscript
PHOTO_SUFFIXES = ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"
LABELS_NAME = "labels.txt"  # in the zip behind the model, as the TFLite metadata standard has it
UNKNOWN = "unknown"  # the label of an answer whose best score is below the threshold
TRIAL = ("import sys; sys.path = sys.argv[2:]; sys.excepthook = lambda *fault: print(fault[1])\n"
         "from {} import Interpreter as I; i = I(sys.argv[1]); i.allocate_tensors(); i.invoke()")
CSV_HEADER = "path,label,score,scores,decode_ms,invoke_ms,error"
Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Scores: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
StrPath: TypeAlias = str | os.PathLike[str]
Photo: TypeAlias = StrPath | bytes | BinaryIO | Image.Image | Pixels  # Pixels: [H, W, 3], RGB
Result: TypeAlias = "tuple[Any, Prediction | PhotoError]"  # a photo or its name; the outcome
_TURNS = {tag: Image.Transpose[way] for tag, way in enumerate((  # EXIF orientation (CIPA DC-008)
    "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE",
    "ROTATE_90"), start=2)}  # -> what turns it upright
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, EOFError,
           ArithmeticError, ImportError, MemoryError, RuntimeError, struct.error, zlib.error,
           zipfile.BadZipFile, subprocess.TimeoutExpired, Image.DecompressionBombError)  # damage

class EdgebeeError(Exception):
    """An expected failure; its message names the file and the remedy, in one line."""
class PhotoError(EdgebeeError):
    """A photo that cannot be read."""
class ModelError(EdgebeeError):
    """A model that cannot be used."""
class RuntimeMissingError(EdgebeeError):
    """No TFLite runtime works here."""

@contextlib.contextmanager
def _faults_as(kind: type[EdgebeeError], problem: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:  # their words, without object addresses and paths
        text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        text = "not a picture" if text.startswith("cannot identify") else text.split("\n")[0][:200]
        raise kind(f"{problem} ({text}); {remedy}") from error

def escape_control_chars(text: object) -> str:
    """Text in one line that a terminal can show: line breaks, escapes and the like spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))

def print_error(error: object) -> int:
    """Say in one line on standard error what went wrong; returns 1, the exit status."""
    print(f"error: {escape_control_chars(error)}", file=sys.stderr)
    return 1

def silence_decoder_warnings() -> None:
    """From now on Pillow and libtiff write no remarks of their own about odd files."""
    importlib.import_module("warnings").filterwarnings("ignore", module="PIL")
    importlib.import_module("logging").getLogger("PIL").setLevel("CRITICAL")
    with contextlib.suppress(AttributeError, ImportError, OSError):  # no libtiff, or a hidden one
        importlib.import_module("ctypes").CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

def read_photo(source: Photo, size: tuple[int, int] = (224, 224)) -> Pixels:
    """Read a photo, the one way edgebee does, as `uint8 [height, width, 3]`, RGB, 0-255.

    It is turned upright (EXIF), its short side scaled to `size` (height, width), its centre cut
    out. Of an animation the first frame counts; what is transparent becomes white.
    """
    name = source if isinstance(source, (str, os.PathLike)) else "photo"
    with _faults_as(PhotoError, f"{name}: unreadable", "check or replace it"):
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.shape[2:] != (3,) or not source.size:
                raise ValueError(f"{source.dtype} {list(source.shape)}, not uint8 [H, W, 3]")
            source = Image.fromarray(source)
        if isinstance(source, Image.Image):
            return _fit(source, size, None)
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=FORMATS) as image:
            stored = image.width * image.height
            drafted = image.draft("RGB", (max(size), max(size)))  # least scale that covers `size`
            held = stored if image.info.get("progressive") else image.width * image.height
            if held > MAX_PIXELS / (6 if image.info.get("compression") in (1, 2) else 1):  # BMP
                raise Image.DecompressionBombError(f"{stored / 1e6:.0f} megapixels are too many")
            return _fit(image, size, drafted[1][2:] if drafted else None)

def _fit(image: Image.Image, size: tuple[int, int], extent: Sequence[float] | None) -> Pixels:
    """Scale and centre-crop to `size`, upright; `extent` is (width, height) without padding."""
    image.load()
    orientation = 1  # as of every TIFF: Pillow turns it while loading; the tag may still be there
    with contextlib.suppress(*_FAULTS):  # broken EXIF leaves the pixels as good
        orientation = image.getexif().get(0x0112, 1) if image.format != "TIFF" else 1
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
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in {"RGBA", "RGBa", "LA", "PA"} or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")

def find_images(paths: Iterable[StrPath]) -> Iterator[Path]:
    """Yield files as they are and, for folders, the photos below them, sorted, hidden ones not."""
    for path in paths:
        unlisted: list[OSError] = []  # plain files, and folders that reading will print_error of
        for folder, subfolders, names in os.walk(path, onerror=unlisted.append):
            subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
            shown = (Path(folder, name) for name in sorted(names) if name[0] != ".")
            yield from (p for p in shown if p.suffix.lower() in PHOTO_SUFFIXES and not p.is_fifo())
        yield from (Path(error.filename) for error in unlisted)

def available_cpus() -> int:
    """The cores this process may run on; more threads than that are far slower, not faster."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

def _runtime() -> Any:
    """The `interpreter` module of LiteRT, else of tflite-runtime, which was built for NumPy 1."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("ai_edge_litert.interpreter")
    if int(np.__version__.split(".")[0]) > 1 and importlib.util.find_spec("tflite_runtime"):
        raise RuntimeMissingError("tflite-runtime crashes with NumPy 2: pip install 'numpy<2'")
    remedy = "pip install ai-edge-litert (32-bit ARM: pip install tflite-runtime 'numpy<2')"
    with _faults_as(RuntimeMissingError, "no TFLite runtime is installed", remedy):
        return importlib.import_module("tflite_runtime.interpreter")

def make_interpreter(model: StrPath, threads: int | None = None) -> Any:
    """Load a `.tflite` file, to be invoked on `threads`: at most, and by default, all cores."""
    with _faults_as(ModelError, f"{model}: cannot be opened", "check its name"):
        content = Path(model).read_bytes()
    if content[4:8] != b"TFL3":  # the flatbuffer's file identifier
        raise ModelError(f"{model}: not a TFLite model; make one with: edgebee convert")
    if LABELS_NAME.encode() in content and not zipfile.is_zipfile(model):  # its end is missing
        raise ModelError(f"{model}: cut short after {len(content)} bytes; copy it again")
    threads, runtime = min(threads or available_cpus(), available_cpus()), _runtime()
    with _faults_as(ModelError, f"{model}: damaged, or too new", "copy it or update the runtime"):
        network = read_manifest(model).get("network")
        if not (network or hasattr(sys, "frozen")):  # unknown damage may crash or hold a runtime
            cmd = [sys.executable, "-c", TRIAL.format(runtime.__name__), model, *sys.path]
            if (it := subprocess.run(cmd, check=False, capture_output=True, timeout=60)).returncode:
                raise ValueError(it.stdout.decode() or "the runtime crashes on it")
        if network and sha256(content[: network["bytes"]]).hexdigest() != network["sha256"]:
            raise ValueError("its hash is not the one in edgebee.json")
        interpreter = runtime.Interpreter(model_path=os.fspath(model), num_threads=threads)
        interpreter.allocate_tensors()  # then both ends, whose names may be no text
        interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    return interpreter

def _unpack(model: StrPath) -> dict[str, bytes]:
    """The files in the zip behind a model: labels, manifest, golden samples; none is large."""
    with _faults_as(ModelError, f"{model}: what is packed into it is damaged", "copy it again"):
        if not zipfile.is_zipfile(model):
            return {}
        with zipfile.ZipFile(model) as archive:
            members = [one for one in archive.infolist()[:100] if one.file_size <= 1_000_000]
            return {member.filename: archive.read(member) for member in members}

def read_labels(model: StrPath) -> tuple[str, ...]:
    """The label names inside a model file, or in `labels.txt` beside it; ModelError if none."""
    remedy = f"copy it again, or put a {LABELS_NAME} (UTF-8, one name a line) beside it"
    with _faults_as(ModelError, f"{model}: no label names", remedy):
        content = _unpack(model).get(LABELS_NAME) or Path(model).with_name(LABELS_NAME).read_bytes()
        return tuple(filter(None, map(str.strip, content.decode("utf-8-sig").splitlines())))

def read_manifest(model: StrPath) -> dict[str, Any]:
    """What `edgebee convert` wrote into the file about the model; `{}` if it was made elsewhere."""
    with _faults_as(ModelError, f"{model}: edgebee.json in it is damaged", "copy it again"):
        manifest = json.loads(_unpack(model).get("edgebee.json", b"{}"))
    return manifest if isinstance(manifest, dict) else {}

def invoke(interpreter: Any, pixels: Pixels, model: object = "the model") -> Scores:
    """Run a model on pixels from `read_photo`; returns its scores, `float32 [labels]`, 0-1."""
    entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    with _faults_as(ModelError, f"{model}: gives no answer", "copy or convert it again"):
        memory = interpreter.tensor(entry["index"])  # its own, which nobody may hold while it works
        if entry["dtype"] == np.int8:  # pixels less 128; a float model takes them as floats
            np.bitwise_xor(pixels, np.uint8(0x80), out=memory()[0].view(np.uint8))
        else:
            np.copyto(memory()[0], pixels)
        interpreter.invoke()
        scores: Scores = interpreter.get_tensor(output["index"])[0].astype(np.float32)
        if not np.isfinite(scores).all():
            raise ValueError("its scores are no numbers")
    scale, zero_point = output["quantization"]  # real value = scale * (value - zero point)
    return (scores - np.float32(zero_point)) * np.float32(scale) if scale else scores

class SelfTest(NamedTuple):
    """How this device's scores of a model's golden samples compare with the recorded ones."""
    passed: bool  # none differs by more than the tolerance
    difference: float  # the greatest, 0-1
    kernels: str  # whose record is nearest: `xnnpack` or `builtin`

def selftest(model: StrPath) -> SelfTest:
    """Run the golden samples that travel inside a model; ModelError when there are none."""
    interpreter, gaps = make_interpreter(model), dict[str, float]()
    size = interpreter.get_input_details()[0]["shape"][1:3].tolist()
    with _faults_as(ModelError, f"{model}: no golden samples to test with", "convert it again"):
        files, golden = _unpack(model), read_manifest(model)["golden"]
        for sample in golden["samples"]:
            small = np.asarray(Image.open(io.BytesIO(files[sample["file"]])).convert("RGB"))
            rows, columns = map(lambda n, of: np.arange(n) * of // n, size, small.shape)
            scores = invoke(interpreter, small[rows][:, columns], model)  # enlarged by repetition
            for of, expected in sample["scores"].items():
                gaps[of] = max(gaps.get(of, 0.0), float(abs(scores - np.float32(expected)).max()))
        gap, kernels = min((gap, kernels) for kernels, gap in gaps.items())
        return SelfTest(gap <= golden["tolerance"], gap, kernels)

def rank(scores: Scores, top_k: int | None = None) -> list[int]:
    """Indices of the `top_k` (default: all) best scores, best first; ties keep their order."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:top_k]]

class Prediction(NamedTuple):  # a dataclass takes some 2 ms longer to load
    """What the model says of one photo: scores 0-1, times in milliseconds."""
    label: str  # `unknown` when the best score is below the threshold
    score: float  # the best one
    scores: Mapping[str, float]  # label -> score, best first
    decode_ms: float
    invoke_ms: float

class Classifier:
    """A loaded model: call it with a photo, get an `Prediction`; several threads may at once.

    `threads` invoke it, at most and by default all cores; `top_k` labels are listed, default all;
    below `threshold` (default: the model's own, or 0) the label is `unknown`. Raises EdgebeeError.
    """
    def __init__(self, model: StrPath, *, threads: int | None = None, top_k: int | None = None,
                 threshold: float | None = None) -> None:
        self.model, self.threads, self.top_k = model, threads, top_k
        self.interpreter, self.labels = make_interpreter(model, threads), read_labels(model)
        own = (read_manifest(model).get("scores") or {}).get("threshold") or 0.0
        self.threshold = own if threshold is None else threshold
        shape = self.interpreter.get_input_details()[0]["shape"].tolist()
        scores = self.interpreter.get_output_details()[0]["shape"].tolist()
        if len(shape) != 4 or shape[::3] != [1, 3] or scores != [1, len(set(self.labels))]:
            wanted = f"[1, H, W, 3] and {len(set(self.labels))} for its label names"
            raise ModelError(f"{model}: takes {shape} and gives {scores} scores, not {wanted}")
        self.size, self._idle = (shape[1], shape[2]), [self.interpreter]  # height, width in pixels

    def __call__(self, photo: Photo) -> Prediction:
        """Answer for one photo; takes and raises what `read_photo` does."""
        start = time.perf_counter()
        pixels, decoded = read_photo(photo, self.size), time.perf_counter()
        try:  # an interpreter serves one caller at a time
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = make_interpreter(self.model, 1)
        scores = invoke(interpreter, pixels, self.model)
        self._idle.append(interpreter)
        ms = (decoded - start) * 1e3, (time.perf_counter() - decoded) * 1e3
        best = float(scores[(order := rank(scores))[0]])
        label = self.labels[order[0]] if best >= self.threshold else UNKNOWN
        listed = {self.labels[index]: float(scores[index]) for index in order[: self.top_k]}
        return Prediction(label, best, listed, *ms)

    def classify_many(
            self, photos: Iterable[Any], *, workers: int | None = None) -> Iterator[Result]:
        """Yield each photo with its answer, or what is wrong with it, in order, on all cores."""
        alone = self if self.threads == 1 else Classifier(
            self.model, threads=1, top_k=self.top_k, threshold=self.threshold)
        def attempt(photo: Photo) -> Result:
            try:
                return photo, alone(photo)
            except PhotoError as error:
                return photo, error
        yield from map(attempt, itertools.islice(source := iter(photos), 1))  # often the only one
        for second in source:  # loading a pool would take a tenth of the time of a single answer
            from concurrent.futures import Future, ThreadPoolExecutor
            count = min(workers or available_cpus(), available_cpus())
            pending: list[Future[Result]] = []  # never many: `photos` may be endless
            with ThreadPoolExecutor(count) as pool:
                for photo in itertools.chain([second], source):
                    pending.append(pool.submit(attempt, photo))
                    while len(pending) > 2 * count or (pending and pending[0].done()):
                        yield pending.pop(0).result()
                yield from (answer.result() for answer in pending)

def find_model() -> Path:
    """The newest `artifacts/*int8*.tflite`, else what ships or lies beside this file."""
    here, every = Path(__file__).resolve().parent, "*.tflite"
    for folder, pattern in ("artifacts", "*int8*.tflite"), (here / "models", every), (here, every):
        if found := [path for path in Path(folder).glob(pattern) if path.name[0] != "."]:
            return max(found, key=lambda path: (path.stat().st_mtime, path.name))
    raise ModelError("no model found: name one with -m MODEL.tflite, or make one: edgebee convert")

def make_parser(prog: str | None = None) -> ArgumentParser:
    """The options of this file; `edgebee classify` adds to them."""
    parser = ArgumentParser(prog, description="Say what is in photos.")
    parser.error = lambda said, end=parser.error: end(escape_control_chars(said))  # type: ignore
    parser.epilog = "Exit status: 0 all answered, 1 a photo or model failed, 2 wrong usage."
    add = parser.add_argument
    add("photos", nargs="*", metavar="PHOTO", help="photo files, or folders to walk")
    add("-m", "--model", help=".tflite file (default: newest int8 in ./artifacts, else as shipped)")
    add("-k", "--top-k", type=int, help="how many labels to list (default: 1; JSON, CSV: all)")
    add("-t", "--threshold", type=float, help="lower is `unknown` (default: the model's own, or 0)")
    add("--threads", type=int, help="photos to work on at a time (default and most: all cores)")
    add("--format", choices=["text", "json", "csv"], default="text", help="of the answers")
    add("--json", action="store_const", dest="format", const="json", help="print JSON Lines")
    add("--selftest", action="store_true", help="try the model's golden samples on this device")
    return parser

def parse(parser: ArgumentParser, argv: Sequence[str] | None) -> Namespace:
    """Arguments within their ranges; anything else ends the program with status 2."""
    args = parser.parse_args(argv)
    least = min(1 if number is None else number for number in (args.top_k, args.threads))
    if least < 1 or not 0 <= (args.threshold or 0) <= 1:
        parser.error("--threshold must be between 0 and 1, other numbers 1 or more")
    return args

def render(path: object, answer: Prediction | PhotoError, format_: str) -> str:
    """A line without its end: "text", "json" (JSON Lines) or "csv" (below CSV_HEADER)."""
    if isinstance(answer, PhotoError):
        said: dict[str, Any] = {"error": str(answer)}
        text, cells = f"error: {escape_control_chars(answer)}", [path, "", "", "", "", "", answer]
    else:
        ms = {"decode": round(answer.decode_ms, 3), "invoke": round(answer.invoke_ms, 3)}
        said = {"label": answer.label, "score": answer.score, "scores": answer.scores, "ms": ms}
        cells = [path, answer.label, answer.score, json.dumps(answer.scores), *ms.values(), ""]
        ranked = ", ".join(f"{label} {score:.3f}" for label, score in answer.scores.items())
        ranked = f"{UNKNOWN} ({ranked})" if answer.label == UNKNOWN else ranked
        took = answer.decode_ms + answer.invoke_ms
        text = escape_control_chars(f"{path}: {ranked}  {took:.1f} ms")
    return {"text": text, "json": json.dumps({"path": str(path), **said}),
            "csv": ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells)}[format_]

def run(args: Namespace, answer_all: Callable[..., Iterable[Result]], threads: int | None) -> int:
    """Print `answer_all(classifier)`, the model being the one of `args`; return the exit status."""
    silence_decoder_warnings()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names in no known encoding
    top_k, status = args.top_k or (1 if args.format == "text" else None), None
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(os.dup2, os.dup(2), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what the runtime writes about itself
            model = args.model or find_model()
            test = selftest(model) if args.selftest else None
            classifier = Classifier(model, threads=threads, top_k=top_k, threshold=args.threshold)
        if test:
            how = f"off by {test.difference:.3f}" if test.difference else "equal to the bit"
            text = f"self-test {'passed' if test.passed else 'failed'}, {how} ({test.kernels})"
            told = json.dumps({"model": str(model), **test._asdict()})
            text = told if args.format == "json" else escape_control_chars(f"{model}: {text}")
            print(text, flush=True)
            return 0 if test.passed else 1
        if args.format == "csv":
            print(CSV_HEADER, flush=True)
        for path, answer in answer_all(classifier):
            status = print_error(answer) if isinstance(answer, PhotoError) else status or 0
            if isinstance(answer, Prediction) or args.format != "text":
                print(render(path, answer, args.format), flush=True)
            gc.enable()
        return print_error(f"no photos in {', '.join(args.photos)}") if status is None else status
    except EdgebeeError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return 130  # as shells report an end by Ctrl-C
    except OSError as error:  # standard output cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        satisfied = isinstance(error, BrokenPipeError)  # the reader, such as `| head`
        return 0 if satisfied else print_error(f"standard output: {error.strerror}")

def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line; returns the exit status (2, wrong usage, is raised as SystemExit)."""
    args = parse(parser := make_parser(prog), argv)
    args.photos or args.selftest or parser.error("the following arguments are required: PHOTO")
    return run(args, lambda it: it.classify_many(find_images(args.photos), workers=args.threads), 1)

if __name__ == "__main__":
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")  # it was closed
    os._exit(main())  # without tidying up, which would take a tenth of the time
