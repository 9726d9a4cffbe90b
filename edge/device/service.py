"""The systemd unit that keeps `edgebee classify` running on a target, with few rights.

Linux with systemd only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgebee.edge.device.environment import require_success
from edgebee.edge.device.ssh import CommandResult, Host
from edgebee.edge.device.target import Target
from edgebee.edge.station.frame_source import CAMERA_VARIABLE
from edgebee.edge.station.options import ClassifyOptions, parse_options
from edgebee.errors import RemoteError

__all__ = [
    "REMOVE",
    "SECRETS_NAME",
    "UNIT_NAME",
    "Service",
    "install_service",
    "plan_service",
    "render_secrets",
    "render_unit",
    "require_no_password",
]

UNIT_NAME = "edgebee.service"
SECRETS_NAME = "camera.env"
"""File with the camera's address, which may hold a password: only its owner and systemd read it."""
REMOVE = (
    "sudo systemctl disable --now edgebee && "
    f"sudo rm -rf /etc/systemd/system/{UNIT_NAME} /var/lib/edgebee"
)
"""Removes the unit, and what it remembers of the photos that were classified."""

_UNIT = """\
# Made by `edgebee deploy --service`, which replaces it when it is run again.
# Remove it: {remove}
[Unit]
Description=edgebee: classifies photos
{unit}StartLimitIntervalSec=0

[Service]
Type=exec
User={user}
WorkingDirectory={home}
# Which photos were classified is kept in /var/lib/edgebee.
StateDirectory=edgebee
Environment=XDG_STATE_HOME=/var/lib
{secrets}ExecStart={command}
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


@dataclass(frozen=True)
class Service:
    """What the unit runs.

    Attributes:
        command: the program, by its full path, and its arguments.
        user: whose rights it has.
        home: the folder it starts in.
        watch: the folder that is watched, or None.
        camera: the camera's source ("" for the first one), or None.
        writes: folders it may write in.
        secrets: file that holds the camera's address, where that is one of a network.
    """

    command: tuple[str, ...]
    user: str
    home: PurePosixPath
    watch: PurePosixPath | None
    camera: str | None
    writes: tuple[PurePosixPath, ...]
    secrets: PurePosixPath

    @property
    def stream(self) -> bool:
        """Whether the camera is one of a network."""
        return self.camera is not None and "://" in self.camera


def render_unit(service: Service) -> str:
    """The text of the unit."""
    unit = f"RequiresMountsFor={_quote(str(service.watch))}\n" if service.watch else ""
    if service.stream:
        unit = "Wants=network-online.target\nAfter=network-online.target\n"
    local = service.camera is not None and not service.stream
    devices = "SupplementaryGroups=video\n" if local else "PrivateDevices=yes\n"
    families = "AF_UNIX AF_INET AF_INET6" if service.stream else "AF_UNIX"
    return _UNIT.format(
        remove=REMOVE,
        unit=unit,
        user=service.user,
        home=_escape(str(service.home)),
        secrets=f"EnvironmentFile={_escape(str(service.secrets))}\n" if service.stream else "",
        command=" ".join(map(_quote, _shown(service.command, service))),
        writes="".join(f"ReadWritePaths={_quote('-' + str(path))}\n" for path in service.writes),
        devices=devices,
        # libcamera and udev hear of cameras over netlink.
        families=f"{families} AF_NETLINK" if local else families,
    )


def _shown(command: Sequence[str], service: Service) -> Iterator[str]:
    """The command without a camera's address: anyone there can read command lines."""
    for word in command:
        if service.stream and service.camera and word.endswith(service.camera):
            if option := word.removesuffix(service.camera).removesuffix("="):
                yield option  # of --camera=ADDRESS
        else:
            yield word


def render_secrets(camera: str) -> str:
    """The text of the file that holds the camera's address (systemd.exec(5), EnvironmentFile=)."""
    escaped = re.sub(r'(["\\`$])', r"\\\1", camera)
    return f'{CAMERA_VARIABLE}="{escaped}"\n'


def _escape(text: str) -> str:
    """Percent signs introduce specifiers (systemd.unit(5))."""
    return text.replace("%", "%%")


def _quote(argument: str) -> str:
    """An argument for ExecStart= and the like (systemd.service(5), "Command lines")."""
    argument = _escape(argument).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", argument, re.ASCII):
        return argument
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def plan_service(target: Target, model: str, options: Sequence[str]) -> Service:
    """What a unit on a target is to run.

    Args:
        target: the machine.
        model: file name of the model in its folder.
        options: of `edgebee classify`; paths in them are relative to the home folder there.
    """
    given = parse_options(options)
    folders = _folders(PurePosixPath(target.home), given)
    # Reading is enough for a folder that nothing is moved out of.
    writes = folders[1:] if given.watch and not given.move_to else folders
    program = f"{target.folder}/venv/bin/edgebee"
    arguments = ("classify", "-m", f"{target.folder}/{model}", "--json", *options)
    return Service(
        command=(program, *arguments),
        user=target.user,
        home=PurePosixPath(target.home),
        watch=folders[0] if given.watch else None,
        camera=given.camera,
        writes=tuple(writes),
        secrets=PurePosixPath(target.folder, SECRETS_NAME),
    )


def _folders(home: PurePosixPath, given: ClassifyOptions) -> list[PurePosixPath]:
    """The folders that options name, the watched one first."""
    named = [given.watch, given.move_to, given.annotate, given.save_dir]
    named += [given.state.parent] if given.state else []
    return [home / path.as_posix() for path in named if path]


def install_service(host: Host, target: Target, model: str, options: Sequence[str]) -> Service:
    """Install the unit, start it now and at every start of the machine.

    Args:
        host: logged in.
        target: the machine; edgebee and the model are there.
        model: file name of the model in its folder.
        options: of `edgebee classify`.

    Raises:
        RemoteError: sudo asks for a password, or the service does not run.
        click.UsageError: the options are wrong.
    """
    service = plan_service(target, model, options)
    files = {UNIT_NAME: render_unit(service).encode()}
    if service.stream and service.camera:
        files[SECRETS_NAME] = render_secrets(service.camera).encode()
    sent = host.send(files, target.folder, {SECRETS_NAME: 0o600})
    require_success(host, target, sent, "the unit cannot be written")
    steps = [
        f"install -m 644 {shlex.quote(f'{target.folder}/{UNIT_NAME}')} "
        f"/etc/systemd/system/{UNIT_NAME}",
        "systemctl daemon-reload",
        f"systemctl enable --quiet {UNIT_NAME}",
        f"systemctl restart {UNIT_NAME}",
    ]
    sudo = "sudo -n " if target.sudo else ""
    named = [path for path in (service.watch, *service.writes) if path]
    status = f"{sudo}systemctl status --no-pager --lines=3 {UNIT_NAME}"
    script = [
        "set -eu",
        "cd /",
        f"mkdir -p {shlex.join(map(str, named))}" if named else ":",
        # Of an earlier service with another camera.
        ":" if service.stream else f"rm -f {shlex.quote(str(service.secrets))}",
        *(sudo + step for step in steps),
        "sleep 2",
        f"systemctl is-active --quiet {UNIT_NAME} || {{ {status} >&2; exit 1; }}",
    ]
    done = host.run_script("\n".join(script))
    require_no_password(host, done, steps)
    require_success(host, target, done, "the service does not run")
    return service


def require_no_password(host: Host, done: CommandResult, steps: Sequence[str]) -> None:
    """Raise RemoteError, with what to do by hand, where sudo asks for a password."""
    if done.status and re.search("a (password|terminal) is required", done.err):
        by_hand = " && ".join(f"sudo {step}" for step in steps)
        raise RemoteError(f"{host.login}: sudo asks for a password there; run there: {by_hand}")
