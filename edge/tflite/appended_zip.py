"""The zip behind the flatbuffer of a `.tflite` file: label names, manifest, golden samples.

Nothing in it is trusted: names are looked up and shown, never used as paths.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

from edgebee.edge.tflite.text import shown

__all__ = ["MAX_MEMBER_BYTES", "AppendedZip"]

MAX_MEMBER_BYTES = 4_000_000
"""Of a file in the zip, unpacked: a thousand times what labels take, far from filling a Pi."""
_FAULTS = (zipfile.BadZipFile, zlib.error, LookupError, EOFError, OSError, ValueError, RuntimeError)
"""What `zipfile` raises for damaged files. Its messages may quote names of 64 KB."""


class AppendedZip:
    """Reads the zip, if there is one; damage is added to `problems`, not raised."""

    def __init__(self, content: bytes, problems: list[str]) -> None:
        self._problems = problems
        self._archive: zipfile.ZipFile | None = None
        self.members: Mapping[str, int] = {}
        """Name -> unpacked size in bytes, as the directory of the zip claims."""
        stream = io.BytesIO(content)
        if not zipfile.is_zipfile(stream):
            return
        try:
            self._archive = zipfile.ZipFile(stream)
            entries = self._archive.infolist()
            self.members = {shown(entry.filename): entry.file_size for entry in entries}
        except _FAULTS as error:
            problems.append(f"the zip behind it is damaged ({shown(str(error)[:200])})")
            self._archive = None

    def read(self, name: str) -> bytes | None:
        """A file in the zip; None if there is none or it cannot be read."""
        if self._archive is None or name not in self._archive.NameToInfo:
            return None
        try:
            with self._archive.open(name) as member:  # the size in the directory may be a lie
                raw = member.read(MAX_MEMBER_BYTES + 1)
        except _FAULTS as error:
            self._problems.append(f"{name} in it is damaged ({shown(str(error)[:200])})")
            return None
        if len(raw) > MAX_MEMBER_BYTES:
            self._problems.append(f"{name} in it is longer than {MAX_MEMBER_BYTES} bytes")
            return None
        return raw
