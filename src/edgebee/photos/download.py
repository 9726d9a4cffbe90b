"""Download one file of known length and hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgebee.errors import DownloadError
from edgebee.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    import requests

__all__ = ["download_file"]

RETRIES = 2
"""After the first try; pooch waits a second before the first of them, two before the next."""

CHUNK_BYTES = 1 << 16


def download_file(
    url: str,
    folder: Path,
    *,
    size_bytes: int,
    sha256: str,
    timeout_s: float = 30.0,
    progress: ProgressCallback = ignore_progress,
) -> Path:
    """Download a file into `folder`, whole or not at all.

    Args:
        url: where it is; `http` or `https`.
        folder: where to put it, under its name on the server.
        size_bytes: its length.
        sha256: its SHA-256, 64 hexadecimal digits.
        timeout_s: seconds of silence after which a server counts as not answering.
        progress: called with the megabytes that have arrived.

    Returns:
        Its path.

    Raises:
        DownloadError: it could not be downloaded, or what is there is something else; the
            message is the reason, in a few words.
        OSError: it could not be written.
    """
    import pooch
    import requests

    name = url.rpartition("/")[2]

    def download(url: str, target: str, _: object) -> None:
        headers = {"User-Agent": "edgebee", "Accept-Encoding": "identity"}
        bar = _Bar(f"downloading {name}", size_bytes, progress)
        pooch.HTTPDownloader(bar, CHUNK_BYTES, timeout=timeout_s, headers=headers)(url, target, _)
        with Path(target).open("rb") as arrived:
            if arrived.read(64).lstrip().startswith(b"<"):
                raise DownloadError("a web page came instead; does this network need a login?")

    pooch.get_logger().setLevel("ERROR")
    cache = pooch.create(
        path=folder,
        base_url="",
        registry={name: f"sha256:{sha256}"},
        urls={name: url},
        retry_if_failed=RETRIES,
    )
    try:
        return Path(cache.fetch(name, downloader=download))
    except requests.RequestException as error:
        raise DownloadError(_reason(error, timeout_s)) from error
    except ValueError as error:
        raise DownloadError("its SHA-256 is not the known one") from error


class _Bar:
    """What pooch moves on while it downloads, as tqdm's bars; stops what is too long."""

    total = 0
    """Pooch sets it to what the server announces."""

    def __init__(self, task: str, size_bytes: int, progress: ProgressCallback) -> None:
        self._task, self._size_bytes, self._progress = task, size_bytes, progress
        self._done = 0

    def update(self, number: int) -> None:
        """Count a chunk of at most `number` bytes."""
        self._done += number
        if self._done > self._size_bytes + CHUNK_BYTES:
            raise DownloadError("it is longer than it should be")
        total = round(self._size_bytes / 1e6, 1)
        done = min(round(self._done / 1e6, 1), total)
        self._progress(Progress(self._task, done, total, "MB"))

    def reset(self) -> None:
        """Begin again: pooch does so to fill the bar at the end."""
        self._done = 0

    def close(self) -> None:
        """Nothing is left to do."""


def _reason(error: requests.RequestException, timeout_s: float) -> str:
    """Why a request failed, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code} {error.response.reason}".strip()
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer for {timeout_s:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended early"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return f"no sensible answer: {type(error).__name__}"
