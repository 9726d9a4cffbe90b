"""A cluster of machines, through Ray: the same functions, called elsewhere.

What is sent is a function of an installed module and its arguments; what it returns does not
depend on where it ran. Ray is imported when a cluster is connected to, and prints nothing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import platform
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgebee.edge.classify import native_messages_silenced
from edgebee.errors import ClusterError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Cluster", "connect", "connect_if_given", "node_versions"]

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger("edgebee.cluster")

LOCAL = "local"
"""The address of a cluster that is started for the occasion, on this machine alone."""

CONNECT_S = 5.0
"""After which a machine counts as not answering."""
PATIENCE_S = 5.0
"""After which processors count as busy: our own calls give theirs back after a second."""
STALL_S = 180.0
"""After which a cluster that gives no result counts as not working; one takes some seconds."""
TASKS_PER_PROCESSOR = 2
"""Calls under way: one is computed, the next one's arguments are already there."""
RECOUNT_S = 5.0
"""How often processors are counted: nodes come and go."""
STORE_BYTES, STORE_BYTES_OF_A_PROCESSOR = 200_000_000, 50_000_000
"""For arguments and results under way on this machine; what is more goes to the disk."""

_DECISIVE = ("edgebee", "numpy", "pillow", "ai-edge-litert")
"""Packages whose version can decide the bits of a result."""


class Cluster:
    """A cluster that this process is connected to, from `connect`.

    Args:
        address: as it was given.
        stall_s: seconds without a result after which it counts as not working.
    """

    def __init__(self, address: str, stall_s: float = STALL_S) -> None:
        self.address, self.stall_s = address, stall_s
        self._warned = False

    def __repr__(self) -> str:
        return f"<Cluster {self.address}>"

    @property
    def processors(self) -> int:
        """How many its nodes have at the moment."""
        import ray

        return int(ray.cluster_resources().get("CPU", 0))

    def map(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[tuple[int, Result]]:
        """Call `function(shared, item)` for every item, on all processors of the cluster.

        A call whose node vanishes is made again on another one. Items are taken from their
        iterable when there is a processor for them, so that few are in memory at a time.

        Args:
            function: of a module that is installed on the nodes, too.
            shared: sent to each process once.
            items: the other argument.

        Returns:
            The place of each item and its result, in the order in which they are finished.

        Raises:
            ClusterError: there is no processor, a node lacks edgebee, or no result has come for
                a while.
            EdgebeeError: what the function raised.
        """
        import ray

        self._require_processors()
        call = ray.remote(num_cpus=1, max_retries=-1)(_call)
        reference = [ray.put(shared)]  # in a list, it is not fetched before a process wants it
        pending: dict[Any, int] = {}
        waiting = enumerate(items)
        counted, most = -RECOUNT_S, 0
        try:
            while True:
                if time.monotonic() - counted > RECOUNT_S:
                    counted, most = time.monotonic(), TASKS_PER_PROCESSOR * self.processors
                while len(pending) < max(1, most) and (following := next(waiting, None)):
                    number, item = following
                    pending[call.remote(function, reference, item)] = number
                if not pending:
                    return
                for done in self._wait(list(pending)):
                    yield pending.pop(done), self._result(done)
        finally:
            for abandoned in pending:
                ray.cancel(abandoned, force=True)

    def map_tables(
        self, worker: Callable[..., Any], arguments: tuple[Any, ...], tables: Sequence[pa.Table]
    ) -> Iterator[pa.Table]:
        """Send tables through objects `worker(*arguments)`, one on each processor, by Ray Data.

        A table whose node vanishes is sent to another one.

        Args:
            worker: a class of a module that is installed on the nodes, too; its objects are
                called with a table and return one.
            arguments: to make it with.
            tables: each is one call.

        Returns:
            What the calls return, in the order in which they are finished.

        Raises:
            ClusterError: as `map`.
            EdgebeeError: what a worker raised.
        """
        try:
            import ray.data
        except ImportError as error:
            raise ClusterError(
                f"Ray Data is not complete ({error}): pip install 'edgebee[ray]'"
            ) from error
        self._require_processors()
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.data.DataContext.get_current().enable_progress_bars = False
        pool = ray.data.ActorPoolStrategy(
            size=min(self.processors, len(tables)),
            max_tasks_in_flight_per_actor=TASKS_PER_PROCESSOR,
        )
        dataset = ray.data.from_arrow(list(tables)).map_batches(
            worker,
            fn_constructor_args=arguments,
            compute=pool,
            num_cpus=1,
            batch_size=None,
            batch_format="pyarrow",
        )
        # In a thread, since it would wait for ever for processors that others occupy.
        found: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=_pump, args=(dataset, found), daemon=True).start()
        while True:
            try:
                one = found.get(timeout=self.stall_s)
            except queue.Empty:
                raise self._stalled() from None
            if one is None:
                return
            if isinstance(one, BaseException):
                raise self._failure(one) from one
            yield one

    def check_versions(self, versions: Sequence[str]) -> None:
        """Warn, once, of a node whose results can differ; `versions` are from `node_versions`."""
        ours = set(node_versions())
        if set(versions) != ours and not self._warned:
            self._warned = True
            logger.warning(
                "a node has %s, this machine %s: results can differ",
                ", ".join(sorted(set(versions) - ours)) or "less",
                ", ".join(sorted(ours - set(versions))) or "less",
            )

    def _require_processors(self) -> None:
        import ray

        if self.processors < 1:
            raise ClusterError(
                f"--ray {self.address}: the cluster has no processor; start a node that has one: "
                "ray start --address=HEAD:6379 --num-cpus=4"
            )
        until = time.monotonic() + PATIENCE_S
        while ray.available_resources().get("CPU", 0) < 1 and time.monotonic() < until:
            time.sleep(0.1)
        if time.monotonic() >= until:
            logger.warning(
                "all %d processors of the cluster are busy; waiting for one, %.0f s at most",
                self.processors,
                self.stall_s,
            )

    def _stalled(self) -> ClusterError:
        return ClusterError(
            f"--ray {self.address}: no result for {self.stall_s:.0f} s; the cluster's "
            f"{self.processors} processors are busy with other work, or gone: see ray status"
        )

    def _wait(self, pending: list[Any]) -> list[Any]:
        """The calls that are finished, one at least."""
        import ray

        ready, _ = ray.wait(pending, timeout=self.stall_s, fetch_local=False)
        if not ready:
            raise self._stalled()
        return list(ready)

    def _result(self, reference: Any) -> Any:
        import ray

        try:
            versions, result = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise self._failure(error) from error
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"--ray {self.address}: a call was lost ({_first_line(error)}); try again"
            ) from error
        self.check_versions(versions)
        return result

    def _failure(self, error: BaseException) -> BaseException:
        """What a call raised: an error of ours as it is, a missing package with its remedy."""
        from edgebee.errors import EdgebeeError

        cause = error
        while inner := getattr(cause, "cause", None) or cause.__cause__:
            cause = inner
            if isinstance(cause, EdgebeeError):
                return cause
        missing = re.search(r"No module named '(\w+)", str(error))
        if missing:
            return ClusterError(
                f"--ray {self.address}: {missing[1]} is not installed on a node; there: "
                "pip install 'edgebee[ray]'"
            )
        ours = re.findall(r"^edgebee\.[\w.]+Error: (.+)$", str(error), re.MULTILINE)
        reason = ours[-1] if ours else _first_line(cause)  # of a worker that was not made, as text
        return ClusterError(f"--ray {self.address}: a node failed ({reason})")


@contextlib.contextmanager
def connect(address: str, *, stall_s: float = STALL_S) -> Iterator[Cluster]:
    """Connect to a Ray cluster, for a `with` block.

    Args:
        address: `HOST:PORT` of the head node, from a machine that is one of the nodes; or
            `local`, all processors of this machine.
        stall_s: seconds without a result after which the cluster counts as not working.

    Raises:
        ClusterError: Ray is not installed, nothing answers, or it is another version of Ray.
    """
    # Read when Ray is imported, and by the processes that it starts: it asks nobody on the
    # network, and its native part does not write on the terminal.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address != LOCAL:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # 20 take a quarter of an hour
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "Ray is not installed: pip install 'edgebee[ray]', on every node"
        ) from error
    settings: dict[str, Any] = {"address": address}
    if address == LOCAL:
        from edgebee.edge.classify import available_cpus

        settings |= {
            "num_cpus": available_cpus(),
            "include_dashboard": False,
            # Ray's own measure is a third of the memory, which this process would seem to occupy.
            "object_store_memory": STORE_BYTES + STORE_BYTES_OF_A_PROCESSOR * available_cpus(),
        }
    else:
        _require_answer(address)
    try:
        _join(ray, settings)
    except (
        RuntimeError,
        ConnectionError,
        ValueError,
        SystemExit,
        ray.exceptions.RayError,
    ) as error:
        ray.shutdown()  # what has been begun
        raise _refusal(address, error) from error
    with _nodes_silenced():
        try:
            yield Cluster(address, stall_s)
        finally:
            ray.shutdown()


def connect_if_given(address: str | None) -> AbstractContextManager[Cluster | None]:
    """`connect`, or nothing for None: of an option that was left out."""
    return contextlib.nullcontext() if address is None else connect(address)


def _join(ray: Any, settings: dict[str, Any]) -> None:
    """Connect; with the token that this machine has, if the cluster wants one."""
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with native_messages_silenced():
        try:
            ray.init(**quiet, **settings)
        except (ConnectionError, SystemExit, ray.exceptions.RayError):
            if settings["address"] == LOCAL or not _has_token() or "RAY_AUTH_MODE" in os.environ:
                raise
            ray.shutdown()
            os.environ["RAY_AUTH_MODE"] = "token"
            ray._raylet.Config.initialize("")  # else it keeps what was there at its import
            ray.init(**quiet, **settings)


def _has_token() -> bool:
    given = os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    return bool(given) or Path("~/.ray/auth_token").expanduser().is_file()


@contextlib.contextmanager
def _nodes_silenced() -> Iterator[None]:
    """Keep Ray from printing on standard output what its nodes report, as that one has vanished.

    Its own settings cover what programs on the nodes print, not this.
    """
    from ray._private import worker

    before = getattr(worker, "print_worker_logs", None)
    worker.print_worker_logs = lambda *args, **settings: None
    try:
        yield
    finally:
        worker.print_worker_logs = before


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens: Ray would try for minutes."""
    match = re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", address)
    if match is None:
        raise ClusterError(
            f"--ray {address}: not an address; give HOST:PORT of the cluster's head node, as "
            "192.168.1.5:6379, or local"
        )
    try:
        socket.create_connection((match[1], int(match[2])), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"--ray {address}: nothing answers there ({reason}); start the cluster: "
            "ray start --head --port=6379, and take the address that it prints"
        ) from error


def _refusal(address: str, error: BaseException) -> ClusterError:
    """Why a cluster that answers could not be joined."""
    text = str(error)
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", text)
    if len(versions) == 2:
        (ray, python), (our_ray, our_python) = versions
        return ClusterError(
            f"--ray {address}: the cluster runs Ray {ray} on Python {python}, this machine Ray "
            f"{our_ray} on Python {our_python}; make them the same: pip install ray=={ray}"
        )
    return ClusterError(
        f"--ray {address}: cannot be joined ({_first_line(error)}); this machine has to be a node "
        f"of the cluster (ray start --address={address}) and to have its token (ray get-auth-token)"
    )


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]


def _pump(dataset: Any, found: queue.Queue[Any]) -> None:
    """Put the tables of a data set of Ray Data into a queue; None, or an error, at the end."""
    try:
        for table in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            found.put(table)
        found.put(None)
    except BaseException as error:  # noqa: BLE001 - raised by who reads the queue
        found.put(error)


# ------------------------------------------------------------------ on a node
_shared: dict[Any, Any] = {}
"""What this process was given last: reference -> value."""


def _call(function: Callable[[Any, Any], Any], shared: list[Any], item: Any) -> Any:
    """Runs on a node: the versions there, and what the function returns."""
    import ray

    (reference,) = shared
    if reference not in _shared:
        _shared.clear()
        _shared[reference] = ray.get(reference)
    return node_versions(), function(_shared[reference], item)


@functools.cache
def node_versions() -> tuple[str, ...]:
    """What can decide the bits of a result: packages, and the kind of processor."""
    found = []
    for package in _DECISIVE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return (*found, platform.machine())
