"""The systemd unit that keeps `edgebee classify` running, for years and with few rights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

__all__ = ["NAME", "REMOVE", "render_unit"]

NAME = "edgebee.service"
REMOVE = (
    "sudo systemctl disable --now edgebee && "
    f"sudo rm -rf /etc/systemd/system/{NAME} /var/lib/edgebee"
)
"""Takes away the unit, and what it remembers of the photos that were answered."""

_UNIT = """\
# Made by `edgebee deploy --service`; made anew when that is run again.
# Remove it: {remove}
[Unit]
Description=edgebee: says what is in photos
{unit}StartLimitIntervalSec=0

[Service]
Type=exec
User={user}
WorkingDirectory={home}
# What was answered is kept in /var/lib/edgebee.
StateDirectory=edgebee
Environment=XDG_STATE_HOME=/var/lib
ExecStart={command}
Restart=on-failure
RestartSec=10

# It reads what it needs, and writes in these folders only.
{writes}ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
{devices}RestrictAddressFamilies={families}
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0022

[Install]
WantedBy=multi-user.target
"""


def render_unit(
    command: Sequence[str],
    *,
    user: str,
    home: PurePosixPath,
    watch: PurePosixPath | None,
    camera: str | None,
    writes: Sequence[PurePosixPath],
) -> str:
    """The text of the unit.

    Args:
        command: the program, by its full path, and its arguments.
        user: whose rights it has.
        home: the folder it starts in.
        watch: the folder that is watched, or None.
        camera: the camera's source ("" for the first one), or None.
        writes: folders it may write in.
    """
    stream = camera is not None and "://" in camera
    unit = f"RequiresMountsFor={_quote(str(watch))}\n" if watch else ""
    if stream:
        unit = "Wants=network-online.target\nAfter=network-online.target\n"
    local = camera is not None and not stream
    devices = "SupplementaryGroups=video\n" if local else "PrivateDevices=yes\n"
    families = "AF_UNIX AF_INET AF_INET6" if stream else "AF_UNIX"
    return _UNIT.format(
        remove=REMOVE,
        unit=unit,
        user=user,
        home=_escape(str(home)),
        command=" ".join(map(_quote, command)),
        writes="".join(f"ReadWritePaths={_quote('-' + str(path))}\n" for path in writes),
        devices=devices,
        # libcamera and udev hear of cameras over netlink.
        families=f"{families} AF_NETLINK" if local else families,
    )


def _escape(text: str) -> str:
    """Percent signs introduce specifiers (systemd.unit(5))."""
    return text.replace("%", "%%")


def _quote(argument: str) -> str:
    """An argument for ExecStart= and the like (systemd.service(5), "Command lines")."""
    argument = _escape(argument).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", argument, re.ASCII):
        return argument
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'
