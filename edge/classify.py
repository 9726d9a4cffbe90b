#!/usr/bin/env python3
"""Classify photos with a TFLite model made by edgebee.

This one file and a model are all that a Raspberry Pi needs, besides NumPy, Pillow and a TFLite
runtime (`ai-edge-litert`, or `tflite-runtime` on 32-bit ARM). It imports nothing else of edgebee.

    python classify.py -m model_int8.tflite photo.jpg

    from classify import Classifier
    classifier = Classifier("model_int8.tflite")
    print(classifier("photo.jpg").label)
"""

import gc
import os
import signal

if __name__ == "__main__":
    # The first result comes sooner without collecting garbage while loading, and without
    # threads for matrices that are never multiplied.
    gc.disable()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        # Ctrl-C ends the program silently at any moment, also while it imports. Every printed
        # line has been flushed, and nothing else needs tidying up.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))

import argparse
import contextlib
import importlib.util
import io
import itertools
import json
import logging
import math
import re
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeAlias

import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

MAX_PIXELS = 25_000_000
"""Photos that would hold more pixels in memory are refused; of a JPEG, those after scaling."""

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM"]
"""Pillow's names of the formats that are read; of the others, EPS would run Ghostscript."""

PHOTO_SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".heic",
    ".heif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
"""Files in folders that are taken for photos."""

LABELS_NAME = "labels.txt"
"""In the zip behind the model, as the TFLite metadata standard has it, or beside the model."""

MANIFEST_NAME = "edgebee.json"
"""In the same zip: what `edgebee convert` records about the model."""

NEITHER = "neither"
"""The last label of a model that has learned to say it: none of the classes."""

UNKNOWN = "unknown"
"""The label of a prediction that is one of the classes, but whose best is below the threshold."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells report it."""

CSV_HEADER = "path,label,score,taken,decode_ms,invoke_ms,error"
"""Behind these comes one column for each label, with its score."""

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
"""`uint8 [H, W, 3]`, RGB, 0-255."""

Scores: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
"""`float32 [labels]`, 0-1."""

StrPath: TypeAlias = str | os.PathLike[str]
Photo: TypeAlias = StrPath | bytes | BinaryIO | Image.Image | Pixels
"""A file's name, its content, an open file, or a decoded picture."""

Result: TypeAlias = "tuple[Any, Prediction | PhotoError]"
"""A photo (or its name) and what came of it."""

_log = logging.getLogger("edgebee.edge")
_log.addHandler(logging.NullHandler())  # silent unless a program listens


# ------------------------------------------------------------------ errors
class EdgebeeError(Exception):
    """An expected failure; its message names the file and the remedy, in one line."""


class PhotoError(EdgebeeError):
    """A photo that cannot be read."""


class ModelError(EdgebeeError):
    """A model that cannot be used."""


class RuntimeMissingError(EdgebeeError):
    """No TFLite runtime works here."""


LIBRARY_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    ImportError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    subprocess.TimeoutExpired,
    Image.DecompressionBombError,
)
"""What Pillow, NumPy, zipfile and the runtimes raise on damaged files."""


@contextlib.contextmanager
def _raise_as(kind: type[EdgebeeError], problem: str, remedy: str) -> Iterator[None]:
    """Turn an error of a library into one of ours: `problem (the library's reason); remedy`."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise kind(f"{problem} ({_reason(error)}); {remedy}") from error


def _reason(error: BaseException) -> str:
    """The first line of an error's text, without object addresses and paths."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    if text.startswith("cannot identify"):
        return "not a picture"
    reason: str = text.split("\n")[0][:200]
    return reason


def escape_control_chars(text: object) -> str:
    """Text in one line that a terminal can show: line breaks, escapes and the like spelled out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )


def print_error(error: object) -> int:
    """Print an error in one line on standard error; returns 1, the exit status."""
    print(f"error: {escape_control_chars(error)}", file=sys.stderr)
    return 1


# ------------------------------------------------------------------ photos
class DecodedImage(NamedTuple):
    """A decoded photo, before it is scaled."""

    image: Image.Image
    """RGB, as it is stored: perhaps lying on its side."""
    width: float
    """Columns of it that are picture; a JPEG that was scaled while decoding may have padding."""
    height: float
    """Rows of it that are picture."""
    orientation: int
    """EXIF orientation, 1-8; 1 is upright."""
    taken: str = ""
    """When it was taken, see `Prediction.taken`."""


_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (CIPA DC-008) -> what turns the picture upright."""

_ON_ITS_SIDE = (5, 6, 7, 8)
"""EXIF orientations whose rows are the upright picture's columns."""


def read_photo(source: Photo, size: tuple[int, int] = (224, 224)) -> Pixels:
    """Read a photo the one way edgebee does: `decode_image`, then `resize_image`.

    It is turned upright (EXIF), its short side scaled to `size` (height, width) and its centre
    cropped. Of an animation the first frame counts; what is transparent becomes white.

    Returns:
        `uint8 [height, width, 3]`, RGB, 0-255.

    Raises:
        PhotoError: it cannot be read.
    """
    with _photo_errors(source):
        return resize_image(_decode(source, size), size)


def decode_image(source: Photo, size: tuple[int, int] = (224, 224)) -> DecodedImage:
    """Decode a photo; a JPEG at the smallest scale that still covers `size` (height, width).

    Raises:
        PhotoError: it cannot be read.
    """
    with _photo_errors(source):
        return _decode(source, size)


def resize_image(decoded: DecodedImage, size: tuple[int, int] = (224, 224)) -> Pixels:
    """Scale, centre-crop and turn upright a decoded photo: `uint8 [height, width, 3]`, RGB."""
    height, width = size[::-1] if decoded.orientation in _ON_ITS_SIDE else size
    crop_width = min(decoded.width, decoded.height * width / height)
    crop_height = min(decoded.height, decoded.width * height / width)
    left = (decoded.width - crop_width) / 2
    top = (decoded.height - crop_height) / 2
    image = decoded.image.resize(
        (width, height),
        Image.Resampling.BICUBIC,
        box=(left, top, left + crop_width, top + crop_height),
        reducing_gap=3.0,
    )
    if decoded.orientation in _TO_UPRIGHT:
        image = image.transpose(_TO_UPRIGHT[decoded.orientation])
    return np.asarray(image)


def _photo_errors(source: Photo) -> contextlib.AbstractContextManager[None]:
    return _raise_as(PhotoError, f"{_name(source)}: unreadable", "check or replace it")


def _name(source: Photo) -> str:
    """What a photo is called in messages; what has no name is a "photo"."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)  # of an open file
    return name if isinstance(name, str) else "photo"


def _decode(source: Photo, size: tuple[int, int]) -> DecodedImage:
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.shape[2:] != (3,) or not source.size:
            raise ValueError(f"{source.dtype} {list(source.shape)}, not uint8 [H, W, 3]")
        source = Image.fromarray(source)
    if isinstance(source, Image.Image):
        source.load()
        return _as_decoded(source, source.size)
    try:
        with open_image(source) as image:
            return _decode_file(image, size)
    except OSError as error:
        if "truncated" not in str(error):
            raise
        return _decode_truncated(source, size, error)


def _decode_file(image: Image.Image, size: tuple[int, int]) -> DecodedImage:
    """Load a file that has been opened; of a JPEG no more pixels than `size` needs."""
    stored = image.width * image.height
    drafted = image.draft("RGB", (max(size), max(size)))
    held = stored if image.info.get("progressive") else image.width * image.height
    # A BMP of run lengths and a PPM of digits are decoded in Python.
    in_python = any(tile[0] == "ppm_plain" for tile in getattr(image, "tile", ()))
    if in_python or image.info.get("compression") in (1, 2):
        held *= 6
    if held > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{stored / 1e6:.0f} megapixels are too many")
    image.load()
    return _as_decoded(image, drafted[1][2:] if drafted else image.size)


def _as_decoded(image: Image.Image, extent: Sequence[float]) -> DecodedImage:
    orientation, taken = 1, ""
    with contextlib.suppress(*LIBRARY_ERRORS):  # broken EXIF leaves the pixels as good
        exif = image.getexif()
        if image.format != "TIFF":  # which Pillow turns while loading; the tag may still be there
            orientation = exif.get(0x0112, 1)
        taken = _time_taken(exif.get_ifd(0x8769)) if exif else ""
    return DecodedImage(_as_rgb(image), extent[0], extent[1], orientation, taken)


def _time_taken(exif: Mapping[int, Any]) -> str:
    """DateTimeOriginal with OffsetTimeOriginal, if there is one, as ISO 8601; else ""."""
    date = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)", str(exif.get(0x9003)), re.ASCII)
    if not date or date[1] == "0000":  # a camera whose clock was never set
        return ""
    offset = re.match(r"[+-]\d\d:\d\d", str(exif.get(0x9011)), re.ASCII)
    return f"{date[1]}-{date[2]}-{date[3]}T{date[4]}{offset[0] if offset else ''}"


def open_image(source: StrPath | bytes | BinaryIO) -> Image.Image:
    """Open a photo of a format that is read; nothing is decoded yet.

    Raises what Pillow raises, for callers that look at a file's header.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)) and _is_address(source):
        address = re.sub(":/+", "://", os.fspath(source), count=1)  # a Path keeps one slash
        raise PhotoError(f"{address}: an address, not a file; download the photo first")
    head = _head(source)
    if head[:3] == b"\xff\xd8\xff":
        # Not through Image.open: it counts the stored pixels, but a JPEG is scaled while it is
        # decoded; and it would load the modules of four more formats first.
        try:
            return JpegImagePlugin.JpegImageFile(_rewound(source))
        except SyntaxError as error:
            raise UnidentifiedImageError("cannot identify image file") from error
    if head[4:8] == b"ftyp":
        return _open_iso_media(source, head[8:12])
    return Image.open(_rewound(source), formats=FORMATS)


def _is_address(name: StrPath) -> bool:
    """Whether a name is one of the web; `Path` makes one slash of two."""
    return os.fspath(name).lower().startswith(("http:/", "https:/"))


def _open_iso_media(source: StrPath | BinaryIO, brand: bytes) -> Image.Image:
    """Open HEIC or AVIF where Pillow or a plug-in can, else say what would read it."""
    if brand in (b"avif", b"avis"):
        format_, way_out = "AVIF", "needs Pillow 11.3 or later: pip install --upgrade pillow"
    elif brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        format_, way_out = "HEIF", "needs a plug-in: pip install pillow-heif"
        with contextlib.suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
    else:
        raise ValueError("a film, not a photo")
    Image.init()
    if format_ not in Image.OPEN:
        raise ValueError(f"{'HEIC' if format_ == 'HEIF' else format_} {way_out}")
    return Image.open(_rewound(source), formats=[format_])


def _head(source: StrPath | BinaryIO) -> bytes:
    """The first 12 bytes of a file."""
    if isinstance(
        source, (str, os.PathLike)
    ):  # a buffered file would cost a tenth of a millisecond
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return os.read(descriptor, 12)
        finally:
            os.close(descriptor)
    return bytes(_rewound(source).read(12))


def _rewound(source: Any) -> Any:
    """The same file, to be read from its start; a name stays a name."""
    if not isinstance(source, (str, os.PathLike)):
        source.seek(0)
    return source


def _decode_truncated(
    source: StrPath | bytes | BinaryIO, size: tuple[int, int], error: OSError
) -> DecodedImage:
    """Decode a JPEG that lacks only its last bytes; raises `error` when more is missing."""
    content = source if isinstance(source, bytes) else _content(source)
    with open_image(content + b"\xff\xd9") as image:  # the end-of-image marker
        coarse = image.info.get("progressive") and content.count(b"\xff\xda") < _LEAST_SCANS
        if image.format != "JPEG" or coarse or content.endswith(bytes(_MOST_ZEROS)):
            raise error
        full_height = image.height
        decoded = _decode_file(image, size)
    # The decoder fills blocks that are missing with mid-grey. A row of blocks is 8 or 16 pixels
    # high; where more than the last one is grey, the subject may be missing.
    last_row = -(-16 * decoded.image.height // full_height)
    if (np.asarray(decoded.image)[-last_row - 1] == 128).all():
        raise error
    _log.warning("%s: its last bytes are missing; read without them", _name(source))
    return decoded


_LEAST_SCANS = 6
"""Of a progressive JPEG; the later ones, some half of the file, add what no prediction needs."""

_MOST_ZEROS = 64
"""At the end of a cut JPEG; more stand where a file system never wrote its second half."""


def _content(source: StrPath | BinaryIO) -> bytes:
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    return bytes(_rewound(source).read())


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_as_8_bits(np.asarray(image)))
    if image.mode in {"RGBA", "RGBa", "LA", "PA"} or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _as_8_bits(grey: np.ndarray[Any, Any]) -> Pixels:
    """Grey of more than 8 bits, or floats, as `uint8`; the range is judged from the values."""
    if grey.dtype.kind == "f":
        low, high = float(grey.min()), float(grey.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise ValueError("NaN or infinite values")
        if low >= 0 and high <= 255:
            low, high = 0.0, 1.0 if high <= 1 else 255.0
        return np.rint((grey - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    # Cameras store 10, 12 or 14 bits in 16; a plain convert() would clip them all to white.
    values = grey.clip(0, 65535)
    bits = next(depth for depth in (8, 10, 12, 14, 16) if int(values.max()) >> depth == 0)
    return (values >> (bits - 8)).astype(np.uint8)


def find_images(paths: Iterable[StrPath]) -> Iterator[Path]:
    """Yield files as they are and, for folders, the photos below them, sorted.

    Hidden files and folders are passed over.
    """
    for path in paths:
        unlisted: list[OSError] = []  # plain files, and folders whose reading will fail
        for folder, subfolders, names in os.walk(path, onerror=unlisted.append):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                found = Path(folder, name)
                if name.startswith(".") or found.suffix.lower() not in PHOTO_SUFFIXES:
                    continue
                if not found.is_fifo():  # which would be waited for
                    yield found
        for error in unlisted:
            yield Path(error.filename)


def silence_decoder_warnings() -> None:
    """From now on Pillow and libtiff write no remarks of their own about odd files."""
    import ctypes
    import warnings

    from PIL import _imaging

    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").setLevel("CRITICAL")
    with contextlib.suppress(AttributeError, OSError):  # no libtiff, or a hidden one
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


# ------------------------------------------------------------------ models
_TRIAL = """
import sys
sys.path = sys.argv[2:]
sys.excepthook = lambda kind, error, traceback: print(error)
from {runtime} import Interpreter
interpreter = Interpreter(sys.argv[1])
entry = interpreter.get_input_details()[0]
if -1 in entry["shape_signature"][1:3] and entry["shape_signature"][3:] == [3]:
    interpreter.resize_tensor_input(entry["index"], {shape})
interpreter.allocate_tensors()
interpreter.invoke()
"""
"""Run in a child process: a damaged model may crash a runtime, or hold it for ever."""

_TRIAL_TIMEOUT_S = 60


def available_cpus() -> int:
    """The CPUs this process may run on; more threads than that are far slower, not faster."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def make_interpreter(
    model: StrPath,
    threads: int | None = None,
    *,
    keep_tensors: bool = False,
    size: tuple[int, int] | None = None,
) -> Any:
    """Load a `.tflite` file and allocate its tensors.

    Args:
        model: the file.
        threads: to invoke it on: at most, and by default, one per CPU.
        keep_tensors: keep the values of all tensors after invoking, for `Classifier.embed`;
            the runtime's built-in kernels are used then, which are slower.
        size: height and width of its photos, for a model that takes photos of any size.

    Raises:
        ModelError: it cannot be used.
        RuntimeMissingError: no runtime works here.
    """
    return _load(_read_model(model), threads, keep_tensors=keep_tensors, size=size)


def _load(
    file: "_ModelFile",
    threads: int | None,
    *,
    keep_tensors: bool = False,
    size: tuple[int, int] | None = None,
    further: bool = False,
) -> Any:
    """`make_interpreter` of a file that has been read.

    For a `further` interpreter of the same model the runtime has printed all that it prints, and
    nothing is silenced: another thread may be printing an error just then.
    """
    model, content = file.path, file.content
    runtime = _import_runtime()
    options: dict[str, Any] = {"num_threads": min(threads or available_cpus(), available_cpus())}
    if keep_tensors:
        options["experimental_preserve_all_tensors"] = True
        options["experimental_op_resolver_type"] = (
            runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
    try:
        network = file.manifest.get("network")
        if network and not _is_intact(content, network):
            raise ValueError("its checksum is not the one in edgebee.json")
        if not network and not hasattr(sys, "frozen"):  # a frozen program would start itself
            _try_in_child(model, runtime.__name__, size or (224, 224))
        with contextlib.nullcontext() if further else native_messages_silenced():
            interpreter = runtime.Interpreter(model_path=os.fspath(model), **options)
            _set_size(interpreter, size, model)
            interpreter.allocate_tensors()
        interpreter.get_input_details()[0]  # whose names may be no text
        interpreter.get_output_details()[0]
    except LIBRARY_ERRORS as error:
        problem, remedy = next(
            (found for name, found in _FOREIGN_OPERATORS.items() if name in content),
            ("damaged, or too new", "copy it or update the runtime"),
        )
        raise ModelError(f"{model}: {problem} ({_reason(error)}); {remedy}") from error
    return interpreter


def _is_intact(content: bytes, network: Mapping[str, Any]) -> bool:
    """Whether a file begins with the very network whose length and checksum were recorded.

    By its CRC-32: this guards against damage, not malice, as who can change the network can change
    what is recorded; and loading `hashlib`, and OpenSSL with it, would delay every start.
    """
    held = memoryview(content)[: network["bytes"]]
    if network.get("crc32") is not None:
        return bool(zlib.crc32(held) == network["crc32"])
    from hashlib import sha256  # all that files had until November 2026

    return bool(sha256(held).hexdigest() == network["sha256"])


_FOREIGN_OPERATORS = {
    b"edgetpu-custom-op": ("made for an Edge TPU", "take the file that it was compiled from"),
    b"Flex": ("needs operators of TensorFlow itself", "convert it without SELECT_TF_OPS"),
}
"""In a file that no runtime here loads -> what that means, and what to do."""


def _set_size(interpreter: Any, size: tuple[int, int] | None, model: StrPath) -> None:
    """Fix the height and width of the photos that a model takes, where they are free."""
    entry = interpreter.get_input_details()[0]
    shape = entry.get("shape_signature", entry["shape"]).tolist()
    if -1 in shape[1:3] and shape[3:] == [3]:
        if size is None:
            raise ModelError(
                f"{model}: takes photos of any size; name the one it was trained on, as --size 224"
            )
        interpreter.resize_tensor_input(entry["index"], [1, *size, 3])
    elif size and shape[1:3] != [*size]:
        raise ModelError(f"{model}: takes {shape}, not {size[0]}x{size[1]}; leave out --size")


def check_whole(model: StrPath, content: bytes) -> None:
    """Raise ModelError for a file that is no TFLite model, or has lost its end."""
    if content[:2] == b"PK" and b".tflite" in content:
        raise ModelError(f"{model}: a zip file; unpack it, and name the .tflite file in it")
    if content[4:8] != b"TFL3":  # the flatbuffer's file identifier
        raise ModelError(f"{model}: not a TFLite model; make one with: edgebee convert")
    if LABELS_NAME.encode() in content and not zipfile.is_zipfile(model):  # its end is missing
        raise ModelError(f"{model}: cut short after {len(content)} bytes; copy it again")


def _try_in_child(model: StrPath, runtime: str, size: Sequence[int]) -> None:
    """Load and invoke a model whose hash is not known in a child process first."""
    # -I: neither the working folder nor the user's variables are asked for modules.
    code = _TRIAL.format(runtime=runtime, shape=[1, *size, 3])
    command = [sys.executable, "-I", "-c", code, os.fspath(model)]
    search_path = [folder for folder in sys.path if folder]
    trial = subprocess.run(
        [*command, *search_path], check=False, capture_output=True, timeout=_TRIAL_TIMEOUT_S
    )
    if trial.returncode:
        reason = trial.stdout.decode(errors="replace").strip()
        raise ValueError(reason or "the runtime crashes on it")


def _import_runtime() -> Any:
    """The `interpreter` module of LiteRT, else of tflite-runtime, which was built for NumPy 1."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("ai_edge_litert.interpreter")
    if int(np.__version__.split(".")[0]) > 1 and importlib.util.find_spec("tflite_runtime"):
        raise RuntimeMissingError("tflite-runtime crashes with NumPy 2: pip install 'numpy<2'")
    remedy = "pip install ai-edge-litert (32-bit ARM: pip install tflite-runtime 'numpy<2')"
    with _raise_as(RuntimeMissingError, "no TFLite runtime is installed", remedy):
        return importlib.import_module("tflite_runtime.interpreter")


class _Silence:
    """Sends what native code writes to standard error nowhere, while at least one user is in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved = -1

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                with contextlib.suppress(OSError):  # it is closed
                    self._saved = os.dup(2)
                    devnull = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(devnull, 2)
                    os.close(devnull)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._saved >= 0:
                os.dup2(self._saved, 2)
                os.close(self._saved)
                self._saved = -1


_silence = _Silence()


def native_messages_silenced() -> contextlib.AbstractContextManager[None]:
    """The runtimes print "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." and the like."""
    return _silence


class _ModelFile(NamedTuple):
    """A model file that is read once for all that is asked about it."""

    path: StrPath
    content: bytes
    packed: dict[str, bytes]
    """Name -> content of the files in the zip behind the model."""
    manifest: dict[str, Any]


def _read_model(model: StrPath) -> _ModelFile:
    with _raise_as(ModelError, f"{model}: cannot be opened", "check its name"):
        content = Path(model).read_bytes()
    check_whole(model, content)
    packed = _unpack(model, io.BytesIO(content))
    return _ModelFile(model, content, packed, _parse_manifest(model, packed))


def _unpack(model: StrPath, file: BinaryIO | None = None) -> dict[str, bytes]:
    """The files in the zip behind a model: labels, manifest, golden samples; none is large."""
    with _raise_as(ModelError, f"{model}: what is packed into it is damaged", "copy it again"):
        if not zipfile.is_zipfile(file or model):
            return {}
        with zipfile.ZipFile(file or model) as archive:
            members = [one for one in archive.infolist()[:100] if one.file_size <= 1_000_000]
            return {member.filename: archive.read(member) for member in members}


def read_labels(model: StrPath) -> tuple[str, ...]:
    """The label names inside a model file, or in `labels.txt` or `<model>.txt` beside it.

    Raises:
        ModelError: there are none.
    """
    return _find_labels(model, _unpack(model))


def _find_labels(model: StrPath, packed: Mapping[str, bytes]) -> tuple[str, ...]:
    remedy = f"copy it again, or put a {LABELS_NAME} (UTF-8, one name a line) beside it"
    with _raise_as(ModelError, f"{model}: no label names", remedy):
        return parse_labels(_read_label_file(model, packed))


def _read_label_file(model: StrPath, packed: Mapping[str, bytes]) -> bytes:
    """The content of the labels' file, whose name differs among other people's tools."""
    if LABELS_NAME in packed:
        return packed[LABELS_NAME]
    stem = Path(model).stem
    names = (LABELS_NAME, f"{stem}.txt", f"{stem}_labels.txt", "class_labels.txt", "labelmap.txt")
    for beside in (Path(model).with_name(name) for name in names):
        if beside.is_file():
            return beside.read_bytes()
    classes = _read_ultralytics(packed).get("names")
    if isinstance(classes, dict):
        return "\n".join(f"{number} {name}" for number, name in classes.items()).encode()
    lists = [name for name in packed if name.endswith(".txt")]
    if len(lists) == 1:
        return packed[lists[0]]
    return Path(model).with_name(LABELS_NAME).read_bytes()  # which says that it is missing


def _read_ultralytics(packed: Mapping[str, bytes]) -> dict[str, Any]:
    """What Ultralytics packs into its files: names of classes and more; {} in others'."""
    import ast

    text = (packed.get("metadata.json") or packed.get("temp_meta.txt") or b"").decode()
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return {}
    return found if isinstance(found, dict) and found.get("author") == "Ultralytics" else {}


def parse_labels(content: bytes) -> tuple[str, ...]:
    """One name a line, in any editor's encoding; numbers before the names give their order."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [re.fullmatch(r"(\d+)[\s:,;.)]+(\S.*)", name) for name in names]
    by_number = {int(found[1]): found[2] for found in numbered if found}
    for first in (0, 1):
        order = range(first, first + len(names))
        if set(by_number) == set(order):
            return tuple(by_number[number] for number in order)
    return tuple(names)


def read_manifest(model: StrPath) -> dict[str, Any]:
    """What `edgebee convert` wrote into the file about the model; `{}` if it was made elsewhere.

    Raises:
        ModelError: it is damaged.
    """
    return _parse_manifest(model, _unpack(model))


def _parse_manifest(model: StrPath, packed: Mapping[str, bytes]) -> dict[str, Any]:
    with _raise_as(ModelError, f"{model}: {MANIFEST_NAME} in it is damaged", "copy it again"):
        manifest = json.loads(packed.get(MANIFEST_NAME, b"{}"))
    return manifest if isinstance(manifest, dict) else {}


def find_newer_training(model: StrPath) -> str:
    """Say, with the remedy, that a model is not made of the `model.keras` beside it; else "".

    Raises:
        ModelError: the model is damaged.
    """
    keras = Path(model).with_name("model.keras")
    if not keras.is_file():  # most models lie alone
        return ""
    from hashlib import sha256

    recorded = (read_manifest(model).get("provenance") or {}).get("keras_sha256")
    with contextlib.suppress(OSError):
        if recorded and sha256(keras.read_bytes()).hexdigest() != recorded:
            remedy = shell_line("edgebee", "convert", str(keras))
            return f"{model}: of another training than {keras}; to use that one: {remedy}"
    return ""


def shell_line(*words: str) -> str:
    """Words quoted as the system's shell takes them."""
    if os.name == "nt":
        return subprocess.list2cmdline(words)
    import shlex

    return shlex.join(words)


def read_threshold(model: StrPath) -> float:
    """The threshold that a model's training chose, 0-1; 0 if it chose none."""
    return _find_threshold(read_manifest(model))


def _find_threshold(manifest: Mapping[str, Any]) -> float:
    return float((manifest.get("scores") or {}).get("threshold") or 0.0)


def find_model() -> Path:
    """The newest `artifacts/*int8*.tflite`, else what ships or lies beside this file.

    Raises:
        ModelError: there is none.
    """
    here = Path(__file__).resolve().parent
    for folder, pattern in (
        (Path("artifacts"), "*int8*.tflite"),
        (here / "models", "*.tflite"),
        (here, "*.tflite"),
    ):
        found = [path for path in folder.glob(pattern) if not path.name.startswith(".")]
        if found:
            if folder != Path("artifacts") and Path("artifacts", "model.keras").is_file():
                _log.warning("artifacts/model.keras is not converted yet: edgebee convert")
            return max(found, key=lambda path: (path.stat().st_mtime, path.name))
    raise ModelError("no model found: name one with -m MODEL.tflite, or make one: edgebee convert")


NORMALIZATIONS = {"0..255": (0.0, 1.0), "0..1": (0.0, 255.0), "-1..1": (127.5, 127.5)}
"""Range of the values that a model takes -> mean and standard deviation of the pixels."""


def read_normalization(model: StrPath) -> tuple[Sequence[float], Sequence[float]] | None:
    """Mean and standard deviation, one or three each, from a model's TFLite metadata.

    The model takes (pixel - mean) / standard deviation. None if the file does not say; those of
    edgebee say 0 and 1.

    Raises:
        ModelError: the file cannot be read, or its metadata is damaged.
    """
    with _raise_as(ModelError, f"{model}: its metadata is damaged", "copy it again"):
        content = Path(model).read_bytes()
        root = _Table(content)
        for entry in root.tables(6):  # Model.metadata; fields by number, as in the schemas
            if entry.bytes_(0) == b"TFLITE_METADATA":
                buffer = root.tables(4)[entry.uint(1)]
                return _find_normalization(_Table(buffer.bytes_(0)))
    return ((0.0,), (255.0,)) if _read_ultralytics(_unpack(model)) else None


def _find_normalization(metadata: "_Table") -> tuple[Sequence[float], Sequence[float]] | None:
    for graph in metadata.tables(3)[:1]:  # ModelMetadata.subgraph_metadata
        for tensor in graph.tables(2)[:1]:  # SubGraphMetadata.input_tensor_metadata
            for unit in tensor.tables(4):  # TensorMetadata.process_units
                if unit.kind(0) == 1:  # ProcessUnitOptions.NormalizationOptions
                    options = unit.table(1)
                    mean, deviation = options.floats(0), options.floats(1)
                    if mean and deviation and 0 not in deviation:
                        return mean, deviation
    return None


class _Table:
    """A table of a flatbuffer, with its fields by number; an absent vector is empty."""

    def __init__(self, data: bytes, position: int | None = None) -> None:
        self.data = data
        self.position = self._number("<I", 0) if position is None else position

    def _number(self, kind: str, position: int) -> int:
        if position < 0:
            raise ValueError("an offset leads out of the file")
        number: int = struct.unpack_from(kind, self.data, position)[0]
        return number

    def _field(self, number: int) -> int | None:
        """Where a field is, or None if it is absent."""
        vtable = self.position - self._number("<i", self.position)
        slot = 4 + 2 * number
        if slot >= self._number("<H", vtable):
            return None
        offset = self._number("<H", vtable + slot)
        return self.position + offset if offset else None

    def _vector(self, number: int) -> tuple[int, int]:
        """Where a vector's elements start, and how many there are."""
        field = self._field(number)
        if field is None:
            return 0, 0
        start = field + self._number("<I", field)
        return start + 4, self._number("<I", start)

    def uint(self, number: int) -> int:
        """A 32-bit number; 0 if absent."""
        field = self._field(number)
        return 0 if field is None else self._number("<I", field)

    def kind(self, number: int) -> int:
        """The type of a union; 0 if absent."""
        field = self._field(number)
        return 0 if field is None else self._number("<B", field)

    def bytes_(self, number: int) -> bytes:
        """A vector of bytes, or a string."""
        start, count = self._vector(number)
        return self.data[start : start + count]

    def floats(self, number: int) -> tuple[float, ...]:
        """A vector of floats."""
        start, count = self._vector(number)
        return struct.unpack_from(f"<{min(count, 3)}f", self.data, start)

    def table(self, number: int) -> "_Table":
        """A table; ValueError if absent."""
        field = self._field(number)
        if field is None:
            raise ValueError(f"its field {number} is absent")
        return _Table(self.data, field + self._number("<I", field))

    def tables(self, number: int) -> list["_Table"]:
        """A vector of tables."""
        start, count = self._vector(number)
        places = range(start, start + 4 * min(count, len(self.data) // 4), 4)
        return [_Table(self.data, place + self._number("<I", place)) for place in places]


def _is_float(entry: Mapping[str, Any]) -> bool:
    """Whether a tensor holds floats, of 16, 32 or 64 bits."""
    return bool(np.dtype(entry["dtype"]).kind == "f")


def _input_values(
    entry: Mapping[str, Any], mean: Sequence[float], deviation: Sequence[float]
) -> np.ndarray[Any, Any] | None:
    """What the input tensor gets for the pixel values 0-255 of each channel, `[256, 3]`.

    None where that is the pixels as they are (of an int8 tensor less 128).
    """
    pixels = np.arange(256, dtype=np.float32)[:, np.newaxis]
    centred = pixels - np.asarray(mean, np.float32)
    values = centred / np.asarray(deviation, np.float32) + np.zeros(3, np.float32)
    if not _is_float(entry):
        scale, zero_point = entry["quantization"]
        if not scale:
            return None
        limits = np.iinfo(entry["dtype"])
        values = np.rint(values / scale + zero_point).clip(limits.min, limits.max)
        pixels = pixels + limits.min
    return None if (values == pixels).all() else values.astype(entry["dtype"])


def invoke(
    interpreter: Any,
    pixels: Pixels,
    model: object = "the model",
    input_values: np.ndarray[Any, Any] | None = None,
) -> Scores:
    """Run a model on pixels from `read_photo`; returns its scores, `float32 [labels]`.

    Args:
        interpreter: from `make_interpreter`.
        pixels: `uint8 [H, W, 3]`, RGB, 0-255.
        model: its name, for errors.
        input_values: `[256, 3]`, what the model takes for each value of a channel; None for
            the pixels as they are.

    Raises:
        ModelError: it fails, or its scores are NaN or infinite.
    """
    output = interpreter.get_output_details()[0]
    with _raise_as(ModelError, f"{model}: makes no prediction", "copy or convert it again"):
        _fill_input(interpreter, pixels, input_values)
        interpreter.invoke()
        scores = _dequantize(interpreter.get_tensor(output["index"]), output).reshape(-1)
        if not np.isfinite(scores).all():
            raise ValueError("its scores are NaN or infinite")
    return scores


def _fill_input(
    interpreter: Any, pixels: Pixels, input_values: np.ndarray[Any, Any] | None
) -> None:
    """Write pixels into the input tensor."""
    entry = interpreter.get_input_details()[0]
    memory = interpreter.tensor(entry["index"])  # its own, which nobody may hold while it works
    if input_values is not None:
        memory()[0][:] = input_values[pixels, np.arange(3)]
    elif entry["dtype"] == np.int8:  # the pixels less 128
        np.bitwise_xor(pixels, np.uint8(0x80), out=memory()[0].view(np.uint8))
    else:  # a float model takes them as floats, 0-255
        np.copyto(memory()[0], pixels)


def _dequantize(values: np.ndarray[Any, Any], details: dict[str, Any]) -> Scores:
    """Real values of a tensor: scale * (value - zero point), `float32`."""
    scale, zero_point = details["quantization"]
    floats: Scores = values.astype(np.float32)
    return (floats - np.float32(zero_point)) * np.float32(scale) if scale else floats


class SelfTest(NamedTuple):
    """How this device's scores of a model's golden samples compare with the recorded ones."""

    passed: bool
    """No score differs by more than the tolerance."""
    difference: float
    """The greatest difference, 0-1; 0 is bit-identical."""
    kernels: str
    """Whose record is nearest: `xnnpack` or `builtin`."""


def selftest(model: StrPath) -> SelfTest:
    """Run the golden samples that travel inside a model, and compare with the recorded scores.

    Raises:
        ModelError: the model cannot be used, or has no golden samples.
    """
    file = _read_model(model)
    interpreter = _load(file, None)
    size = interpreter.get_input_details()[0]["shape"][1:3].tolist()
    differences: dict[str, float] = {}
    with _raise_as(ModelError, f"{model}: no golden samples to test with", "convert it again"):
        files, golden = file.packed, file.manifest["golden"]
        for sample in golden["samples"]:
            small = np.asarray(Image.open(io.BytesIO(files[sample["file"]])).convert("RGB"))
            scores = invoke(interpreter, _enlarge(small, size), model)
            for kernels, expected in sample["scores"].items():
                difference = float(abs(scores - np.float32(expected)).max())
                differences[kernels] = max(differences.get(kernels, 0.0), difference)
        nearest = min(differences, key=lambda kernels: (differences[kernels], kernels))
        difference = differences[nearest]
        return SelfTest(difference <= golden["tolerance"], difference, nearest)


def _enlarge(pixels: Pixels, size: Sequence[int]) -> Pixels:
    """A small picture as `uint8 [height, width, 3]`, by repeating its pixels."""
    rows = np.arange(size[0]) * pixels.shape[0] // size[0]
    columns = np.arange(size[1]) * pixels.shape[1] // size[1]
    enlarged: Pixels = pixels[rows][:, columns]
    return enlarged


# ------------------------------------------------------------------ predictions
def rank(scores: Scores, top_k: int | None = None) -> list[int]:
    """Indices of the `top_k` (default: all) best scores, best first; ties keep their order."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:top_k]]


def choose_label(labels: Sequence[str], scores: Scores, threshold: float = 0.0) -> str:
    """The label of a prediction.

    `neither`, none of the classes, where the model knows it and its score is the largest.
    Else the best class, or `unknown` where that has less than `threshold` of what the classes
    have together.

    Args:
        labels: the names of the scores; `neither` is the last.
        scores: one of each, 0-1, summing to 1.
        threshold: 0-1.
    """
    best = rank(scores, 1)[0]
    if labels[best] == NEITHER:
        return NEITHER
    classes_have = 1 - float(scores[-1]) if labels[-1] == NEITHER else 1.0
    return labels[best] if float(scores[best]) >= threshold * classes_have else UNKNOWN


# Named tuples load faster than data classes, and are as frozen.
class Prediction(NamedTuple):
    """What a model predicts for one photo."""

    label: str
    """A class, `neither` or `unknown`; see `choose_label`."""
    score: float
    """The best score, 0-1; of `unknown` the best class's."""
    scores: Mapping[str, float]
    """Label -> score, 0-1, best first."""
    decode_ms: float
    """Time for reading the photo, milliseconds."""
    invoke_ms: float
    """Time for running the model, milliseconds."""
    taken: str = ""
    """When the photo was taken by its EXIF, as ISO 8601, with the zone if it is known; or ""."""

    def __repr__(self) -> str:
        """`Prediction('bees', 0.957; bees 0.957, ants 0.043; 12.1 ms)`, five labels at most."""
        listed = [f"{label} {score:.3f}" for label, score in list(self.scores.items())[:5]]
        more = ", …" if len(self.scores) > len(listed) else ""
        took = self.decode_ms + self.invoke_ms
        scores = ", ".join(listed) + more
        return f"Prediction({self.label!r}, {self.score:.3f}; {scores}; {took:.1f} ms)"


class Classifier:
    """A loaded model: call it with a photo, get a `Prediction`.

    Several threads may share one. It can be pickled (the path and the options travel) and used
    in a `with` block, which lets the model go at its end. It writes nothing to the terminal.

    Attributes:
        model: the `.tflite` file.
        labels: the label names, in the order of the model's scores; the last is `neither` if
            the model has learned to say it.
        size: height and width of the model's input, in pixels.
        threshold: below this share of the best class among the classes the label is `unknown`,
            0-1.
        interpreter: the runtime's interpreter.
        input_values: what `invoke` needs to know of the values that the model takes.
    """

    def __init__(
        self,
        model: StrPath,
        *,
        threads: int | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
        normalize: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: a `.tflite` file.
            threads: to run the model on: at most, and by default, one per CPU.
            top_k: how many labels a prediction lists; default: all.
            threshold: see above; default: the model's own, or 0.
            normalize: range of the values that the model takes, one of `NORMALIZATIONS`;
                default: as its metadata says, else `0..255`.
            size: height and width, in pixels, for a model that takes photos of any size.

        Raises:
            ModelError: the model cannot be used.
            RuntimeMissingError: no TFLite runtime works here.
        """
        self.model, self.threads, self.top_k, self.normalize = model, threads, top_k, normalize
        file = _read_model(model)
        self.interpreter = _load(file, threads, size=size)
        self._given_size = size
        self.labels = _find_labels(model, file.packed)
        self.threshold = _find_threshold(file.manifest) if threshold is None else threshold
        self.size = _check_shapes(self.interpreter, self.labels, model)
        self.input_values = self._find_input_values(file)
        self._gives_logits = False
        self._idle = [self.interpreter]  # an interpreter serves one caller at a time
        self._embedder: tuple[Any, int] | None = None
        self._embedding = threading.Lock()

    def __repr__(self) -> str:
        """`Classifier('model_int8.tflite': ants, bees; 224 x 224 pixels)`."""
        labels = ", ".join(self.labels[:5]) + (", …" if len(self.labels) > 5 else "")
        height, width = self.size
        return f"Classifier({os.fspath(self.model)!r}: {labels}; {width} x {height} pixels)"

    def __getstate__(self) -> dict[str, Any]:
        """What travels in a pickle: the path and the options."""
        names = ("model", "threads", "top_k", "threshold", "normalize")
        return {name: getattr(self, name) for name in names} | {"size": self._given_size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the model again."""
        self.__init__(**state)  # type: ignore[misc]

    def _find_input_values(self, file: _ModelFile) -> np.ndarray[Any, Any] | None:
        entry = self.interpreter.get_input_details()[0]
        if self.normalize is not None:
            if self.normalize not in NORMALIZATIONS:
                ranges = ", ".join(NORMALIZATIONS)
                raise ModelError(f"{self.model}: normalize {self.normalize!r} is none of {ranges}")
            mean, deviation = NORMALIZATIONS[self.normalize]
            return _input_values(entry, [mean], [deviation])
        if "preprocessing" in file.manifest:  # edgebee's own take the pixels as they are
            return None
        stated = read_normalization(self.model)
        if stated:
            return _input_values(entry, *stated)
        if _is_float(entry):  # of an integer model the pixels are its input's steps
            _log.warning(
                "%s: does not say which values it takes; 0..255 is assumed, --normalize -1..1 or "
                "0..1 says otherwise",
                self.model,
            )
        return None

    def __enter__(self) -> "Classifier":
        """For a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let the model go."""
        self.close()

    def close(self) -> None:
        """Let the model go; calling the classifier afterwards loads it again."""
        self._idle.clear()
        self.interpreter = self._embedder = None

    def __call__(self, photo: Photo) -> Prediction:
        """Classify one photo.

        Raises:
            PhotoError: it cannot be read.
            ModelError: the model makes no prediction.
        """
        started = time.perf_counter()
        with _photo_errors(photo):
            image = _decode(photo, self.size)
            pixels = resize_image(image, self.size)
        decoded = time.perf_counter()
        try:
            interpreter = self._idle.pop()
        except IndexError:  # others are at work
            interpreter = _load(_read_model(self.model), 1, size=self._given_size, further=True)
        scores = invoke(interpreter, pixels, self.model, self.input_values)
        self._idle.append(interpreter)
        scores = self._as_probabilities(scores)
        ended = time.perf_counter()
        order = rank(scores)
        return Prediction(
            label=choose_label(self.labels, scores, self.threshold),
            score=float(scores[order[0]]),
            scores={self.labels[index]: float(scores[index]) for index in order[: self.top_k]},
            decode_ms=(decoded - started) * 1e3,
            invoke_ms=(ended - decoded) * 1e3,
            taken=image.taken,
        )

    def _as_probabilities(self, scores: Scores) -> Scores:
        """One probability per label, also of models that give logits or one sigmoid score."""
        if len(scores) < len(self.labels):  # of two labels, the second one's
            return np.array([1 - scores[0], scores[0]], np.float32)
        if not self._gives_logits and (scores.min() < -0.01 or scores.max() > 1.01):
            self._gives_logits = True
            _log.warning("%s: gives logits, which softmax makes scores of", self.model)
        if not self._gives_logits:
            return scores
        powers = np.exp(scores - scores.max())
        shares: Scores = powers / powers.sum()
        return shares

    def predict_batch(self, photos: Iterable[Photo]) -> list[Prediction]:
        """Classify photos on all CPUs; the predictions are in the order of the photos.

        Raises:
            PhotoError: one cannot be read; `classify_many` goes on instead.
            ModelError: the model makes no prediction.
        """
        predictions = []
        for _, prediction in self.classify_many(photos):
            if isinstance(prediction, PhotoError):
                raise prediction
            predictions.append(prediction)
        return predictions

    def classify_many(
        self, photos: Iterable[Any], *, workers: int | None = None
    ) -> Iterator[Result]:
        """Yield each photo with its prediction, or the PhotoError, in order, as they come.

        Args:
            photos: of any number, even endless.
            workers: photos to work on at a time: at most, and by default, one per CPU.

        Raises:
            ModelError: the model makes no prediction.
        """
        single = self
        if self.threads != 1:
            single = Classifier(**{**self.__getstate__(), "threads": 1})

        def attempt(photo: Photo) -> Result:
            try:
                return photo, single(photo)
            except PhotoError as error:
                return photo, error

        source = iter(photos)
        for first in itertools.islice(source, 1):  # often the only one
            yield attempt(first)
        for second in source:
            # Loading a pool would take a tenth of the time of a single prediction.
            from concurrent.futures import Future, ThreadPoolExecutor

            count = min(workers or available_cpus(), available_cpus())
            pending: list[Future[Result]] = []  # never many: `photos` may be endless
            with ThreadPoolExecutor(count) as pool:
                for photo in itertools.chain([second], source):
                    pending.append(pool.submit(attempt, photo))
                    while len(pending) > 2 * count or (pending and pending[0].done()):
                        yield pending.pop(0).result()
                yield from (future.result() for future in pending)

    def embed(self, photo: Photo) -> Scores:
        """The features that the last dense layer gets for a photo, `float32 [features]`.

        For MobileNetV2 these are the 1,280 averages of the last feature maps. They are had from
        a second interpreter, loaded at the first call, that keeps all its tensors: it runs the
        runtime's built-in kernels instead of XNNPACK, which keeps none, so they are slower, and
        may differ from XNNPACK's by a quantization step or two. The last dense layer is that
        with weights `[labels, F]`, of the classes alone where `neither` has a layer of its own.

        Raises:
            PhotoError: the photo cannot be read.
            ModelError: the file has no such layer, or its runtime keeps no tensors.
        """
        pixels = read_photo(photo, self.size)
        with self._embedding:
            if self._embedder is None:
                interpreter = make_interpreter(self.model, keep_tensors=True, size=self._given_size)
                self._embedder = interpreter, _find_features(interpreter, self.model)
            interpreter, index = self._embedder
            details = next(one for one in interpreter.get_tensor_details() if one["index"] == index)
            with _raise_as(ModelError, f"{self.model}: gives no features", "update the runtime"):
                _fill_input(interpreter, pixels, self.input_values)
                interpreter.invoke()
                return _dequantize(interpreter.get_tensor(index)[0], details)


def _check_shapes(interpreter: Any, labels: Sequence[str], model: StrPath) -> tuple[int, int]:
    """Height and width of a model's input; ModelError unless photos go in and scores come out."""
    entry, *others = interpreter.get_input_details()
    shape = entry["shape"].tolist()
    output, *more = interpreter.get_output_details()
    scores = output["shape"].tolist()
    names = len(set(labels))
    problem = ""
    if others:
        problem = f"takes {1 + len(others)} inputs, not one photo"
    elif len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
        channels_first = len(shape) == 4 and shape[1] == 3
        why = " (channels first)" if channels_first else " (grey)" if shape[-1:] == [1] else ""
        problem = f"takes {shape}{why}, not one RGB photo, [1, H, W, 3]"
    elif names < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        problem = f"two of its label names are {twice!r}; each must be another"
    elif scores[:1] != [1] or math.prod(scores) not in ({1, 2} if names == 2 else {names}):
        detector = ", as object detectors do" if len(scores) == 3 else ""
        problem = f"gives {scores} scores{detector}, not [1, {names}] for its {names} label names"
    if problem:
        raise ModelError(f"{model}: {problem}")
    if more:
        _log.warning(
            "%s: has %d outputs; the first, %s, is taken for its scores",
            model,
            1 + len(more),
            output["name"],
        )
    return shape[1], shape[2]


def _find_features(interpreter: Any, model: StrPath) -> int:
    """The index of the tensor that the last dense layer takes."""
    shapes = {one["index"]: one["shape"].tolist() for one in interpreter.get_tensor_details()}
    labels = int(interpreter.get_output_details()[0]["shape"][-1])
    found: list[tuple[int, int]] = []  # width, index
    # Without an underscore there is no way to ask which tensor an operator takes.
    for operator in interpreter._get_ops_details():
        if operator["op_name"] == "FULLY_CONNECTED":
            entry, weights = (int(index) for index in operator["inputs"][:2])
            outputs, width = shapes[weights]
            if outputs in {labels, labels - 1} and outputs != width == shapes[entry][-1]:
                found.append((width, entry))
    if found:  # `neither` may have a branch of its own beside
        return max(found)[1]
    raise ModelError(
        f"{model}: has no dense layer with weights [{labels}, features] at its end; "
        "features can be had from models that end in one, as those of edgebee do"
    )


# ------------------------------------------------------------------ command line
EXIT_STATUSES = "Exit status: 0 all classified, 1 a photo or the model failed, 2 wrong usage."
_SUMMARY_FROM = 10
"""After so many photos their labels are counted in a line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As argparse's, with control characters of what was typed spelled out."""
        super().error(escape_control_chars(message))


def make_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The options of this file; `edgebee classify` has more."""
    parser = _Parser(prog, description="Classify photos.", epilog=EXIT_STATUSES, allow_abbrev=False)
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="Photo files, or folders.")

    parser.add_argument(
        "-m",
        "--model",
        metavar="FILE",
        help="The .tflite file. [default: the newest int8 model in ./artifacts, else the one that "
        "ships]",
    )
    parser.add_argument(
        "-k",
        "--top-k",
        type=_at_least_one,
        metavar="N",
        help="How many labels to list. [default: 1; all with --format json or csv]",
    )
    parser.add_argument(
        "-t",
        "--threshold",
        type=_share,
        metavar="SCORE",
        help="A photo whose best score among the classes is lower is labelled `unknown`. "
        "[default: the model's own, or 0]",
    )
    parser.add_argument(
        "--normalize",
        choices=tuple(NORMALIZATIONS),
        help="Range of the values that the model takes for pixels. [default: as its metadata says, "
        "else 0..255]",
    )
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HEIGHTxWIDTH",
        help="Size of the photos for a model that takes any, as 224 or 240x320. [default: the "
        "model's]",
    )
    parser.add_argument(
        "--threads",
        type=_at_least_one,
        metavar="N",
        help="How many photos to work on at a time, at most one per CPU. [default: one per CPU]",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "csv"),
        default="text",
        help="Print results as text, json (JSON Lines) or csv. [default: text]",
    )
    parser.add_argument(
        "--json",
        action="store_const",
        dest="format",
        const="json",
        help="The same as --format json.",
    )
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="Check the model on this device with the golden samples inside it.",
    )
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


_at_least_one.__name__ = "integer"  # argparse: "invalid integer value: 'two'"


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from `240x320`, or from one number for both; ValueError if it is none."""
    found = re.fullmatch(r"([1-9]\d{0,3})(?:[x\u00d7]([1-9]\d{0,3}))?", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not like 224 or 240x320")
    return int(found[1]), int(found[2] or found[1])


parse_size.__name__ = "size"


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{number} is not between 0 and 1")
    return number


_share.__name__ = "number"


def render(
    path: object, result: Prediction | PhotoError, format_: str, labels: Sequence[str] = ()
) -> str:
    """One line without its end: "text", "json" (JSON Lines) or "csv" (below `csv_header`)."""
    if format_ == "json":
        return json.dumps({"path": str(path), **_as_json(result)})
    if format_ == "csv":
        return _csv_line(_cells(path, result, labels))
    if isinstance(result, PhotoError):
        return f"error: {escape_control_chars(result)}"
    listed = ", ".join(f"{label} {score:.3f}" for label, score in result.scores.items())
    if result.label == UNKNOWN:
        listed = f"{UNKNOWN} ({listed})"
    took = result.decode_ms + result.invoke_ms
    return escape_control_chars(f"{path}: {listed}  {took:.1f} ms")


def _as_json(result: Prediction | PhotoError) -> dict[str, Any]:
    if isinstance(result, PhotoError):
        return {"error": str(result)}
    return {
        "label": result.label,
        "score": result.score,
        "scores": result.scores,
        "taken": result.taken or None,
        "ms": {"decode": round(result.decode_ms, 3), "invoke": round(result.invoke_ms, 3)},
    }


def csv_header(labels: Sequence[str]) -> str:
    """The first line of a table: a column for each label comes last."""
    return f"{CSV_HEADER},{_csv_line(f'score_{label}' for label in labels)}"


def _csv_line(cells: Iterable[object]) -> str:
    return ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells)


def _cells(
    path: object, result: Prediction | PhotoError, labels: Sequence[str]
) -> tuple[object, ...]:
    """What `csv_header` names."""
    if isinstance(result, PhotoError):
        return path, "", "", "", "", "", result, *("" for _ in labels)
    times = round(result.decode_ms, 3), round(result.invoke_ms, 3)
    scores = (result.scores.get(label, "") for label in labels)
    return path, result.label, result.score, result.taken, *times, "", *scores


def label_order(label: str) -> tuple[bool, str]:
    """Sort key: the classes by name, then `neither` and `unknown`."""
    return label in (NEITHER, UNKNOWN), label


def print_results(
    results: Iterable[Result], format_: str, labels: Sequence[str] = (), *, summary: bool = False
) -> int | None:
    """Print results as they come; the errors of photos go to standard error, too.

    Args:
        results: photos and what came of them.
        format_: "text", "json" or "csv".
        labels: of the model, for the columns of a table.
        summary: count the labels of many photos in a line on standard error, after text.

    Returns:
        The exit status: 0, or 1 if a photo failed; None if there was no result.
    """
    counts: Counter[str] = Counter()
    failed = 0
    if format_ == "csv":
        if isinstance(sys.stdout, io.TextIOWrapper):  # Windows has another in pipes and files
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        print(csv_header(labels), flush=True)
    for path, result in results:
        if isinstance(result, PhotoError):
            failed += 1
            print_error(result)
        else:
            counts[result.label] += 1
        if isinstance(result, Prediction) or format_ != "text":
            print(render(path, result, format_, labels), flush=True)
        gc.enable()  # the first result is out
    total = counts.total() + failed
    if summary and format_ == "text" and total >= _SUMMARY_FROM:
        listed = [f"{counts[label]} {label}" for label in sorted(counts, key=label_order)]
        listed += [f"{failed} unreadable"] if failed else []
        print(escape_control_chars(f"{total} photos: {', '.join(listed)}"), file=sys.stderr)
    if not total:
        return None
    return 1 if failed else 0


def print_selftest(model: StrPath, format_: str) -> int:
    """Run the self-test and print its verdict in a line; returns the exit status."""
    test = selftest(model)
    if format_ == "json":
        print(json.dumps({"model": str(model), **test._asdict()}), flush=True)
    else:
        how = f"max. difference {test.difference:.3f}" if test.difference else "bit-identical"
        verdict = f"self-test {'passed' if test.passed else 'failed'}, {how} ({test.kernels})"
        print(escape_control_chars(f"{model}: {verdict}"), flush=True)
    return 0 if test.passed else 1


def announce_model(classifier: Classifier) -> None:
    """Print on standard error which model was found, and what it can tell apart."""
    labels = ", ".join(classifier.labels[:8]) + (", …" if len(classifier.labels) > 8 else "")
    print(f"model: {escape_control_chars(f'{classifier.model} ({labels})')}", file=sys.stderr)


def run_command(work: Callable[[], int]) -> int:
    """Do the work of a command, which returns the exit status; an expected failure is one line."""
    silence_decoder_warnings()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names in no known encoding
    try:
        return work()
    except EdgebeeError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # standard output cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader, such as `| head`, has seen enough
            return 0
        return print_error(f"standard output: {error.strerror}")


class _WarningPrinter(logging.Handler):
    """Prints remarks as one line each on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one remark."""
        print(f"warning: {escape_control_chars(record.getMessage())}", file=sys.stderr)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line; returns the exit status (2, wrong usage, is raised as SystemExit)."""
    parser = make_parser(prog)
    words = list(sys.argv[1:] if argv is None else argv)
    if "--normalize" in words[:-1]:  # argparse would take -1..1 for an option
        place = words.index("--normalize")
        words[place : place + 2] = [f"--normalize={words[place + 1]}"]
    args = parser.parse_args(words)
    if not args.photos and not args.selftest:
        parser.error("the following arguments are required: PHOTO")
    if not logging.getLogger("edgebee").handlers:  # else `edgebee` itself prints them
        logging.getLogger("edgebee").addHandler(_WarningPrinter())

    def work() -> int:
        model = args.model or find_model()
        if args.selftest:
            return print_selftest(model, args.format)
        top_k = args.top_k or (1 if args.format == "text" else None)
        classifier = Classifier(
            model,
            threads=1,
            top_k=top_k,
            threshold=args.threshold,
            normalize=args.normalize,
            size=args.size,
        )
        if not args.model:
            announce_model(classifier)
        if stale := find_newer_training(model):
            _log.warning("%s", stale)
        results = classifier.classify_many(find_images(args.photos), workers=args.threads)
        status = print_results(results, args.format, classifier.labels, summary=True)
        if status is None:
            return print_error(f"no photos in {', '.join(args.photos)}")
        return status

    return run_command(work)


if __name__ == "__main__":
    if sys.stderr is None:  # it was closed
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    os._exit(main())  # without tidying up, which would take a tenth of the time
