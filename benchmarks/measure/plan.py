"""What is to be measured, and how much of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgebee.edge.classify import available_cpus

__all__ = ["DeviceAddress", "Plan"]

_ADDRESS = re.compile(r"((?:[^@:/\s]+@)?(?:[\w.-]+|\[[\da-fA-F:.%\w]+\]))(?::(.+))?")


@dataclass(frozen=True)
class DeviceAddress:
    """`[USER@]HOST[:FOLDER]`: a machine behind ssh, and where `edgebee deploy` put edgebee there.

    Attributes:
        text: as it was given.
        login: as ssh takes it: `user@host`, or a name from `~/.ssh/config`.
        folder: from the home folder there, or from the root.
    """

    text: str
    login: str
    folder: str = "edgebee"

    @classmethod
    def parse(cls, text: str) -> DeviceAddress:
        """Read an address.

        Raises:
            ValueError: it is none of this kind.
        """
        found = _ADDRESS.fullmatch(text)
        if not found or text.startswith("-") or "//" in text:  # ssh would take "-" for an option
            raise ValueError(
                f"{text!r} is not [USER@]HOST[:FOLDER], as pi@raspberrypi; a port goes with "
                "-o Port=2222"
            )
        login = found[1].replace("[", "").replace("]", "")
        return cls(text, login, found[2] or cls.folder)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        threads: for invoking, on this machine; None takes all cores, and no more are used.
        rounds: in which every model is timed once.
        photos: timed in each round, and copied to devices.
        devices: where else to measure; `edgebee deploy` has been there.
        ssh_options: as for `ssh -o`.
    """

    threads: int | None = None
    rounds: int = 5
    photos: int = 24
    devices: tuple[DeviceAddress, ...] = ()
    ssh_options: tuple[str, ...] = ()

    @property
    def used_threads(self) -> int:
        """`threads`, or as many as there are cores; more than that are far slower."""
        cores = available_cpus()
        return min(self.threads or cores, cores)
