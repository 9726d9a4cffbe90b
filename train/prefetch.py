"""Prefetching: the first photos' views, made while the base is still being built.

Building the base keeps one core busy for a second or two; the others make views meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from edgebee.edge.classify import usable_cores
from edgebee.train.views import View

__all__ = ["PrefetchedViews"]

MEMORY_BUDGET_BYTES = 100_000_000
"""Views that wait to be asked for take at most this much."""


class PrefetchedViews:
    """Gives what `make_views` gives, some of it made beforehand, in a `with` block.

    Args:
        make_views: (path, place in `photos`) -> the views of a photo; the same, whenever asked.
        photos: paths, `[photos]`.
        bytes_per_photo: what the views of a photo take.
    """

    def __init__(
        self,
        make_views: Callable[[Path, int], Iterator[View]],
        photos: Sequence[Path],
        bytes_per_photo: int,
    ) -> None:
        self._make_views = make_views
        self._pool = ThreadPoolExecutor(max(1, usable_cores() - 1))
        count = min(len(photos), MEMORY_BUDGET_BYTES // bytes_per_photo)
        self._ahead: dict[int, Future[list[View]]] = {
            photo: self._pool.submit(self._make_all, photos[photo], photo) for photo in range(count)
        }

    def _make_all(self, path: Path, photo: int) -> list[View]:
        return list(self._make_views(path, photo))

    def __call__(self, path: Path, photo: int) -> Iterator[View]:
        """The views of a photo, once; raises what `make_views` does."""
        ahead = self._ahead.pop(photo, None)
        if ahead is None or ahead.cancel():  # its turn has come before it was begun
            return self._make_views(path, photo)
        return iter(ahead.result())

    def __enter__(self) -> PrefetchedViews:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
