"""The NAS clients as they were last read, kept for a listener that starts while the store is away.

Without them every NAS would be a stranger to it, and nothing could go to the journal. The secrets
in it are sealed as they are in the store; the file is private all the same.
"""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from ratewire.embedded.private_files import open_private_file, sync_directory

_log = structlog.get_logger(__name__)

_CHECKSUM_OCTETS = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class KeptClients:
    """One file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        """The directory of `path` need not be there yet; without it nothing is kept."""
        self._path = path

    def keep(self, published: Mapping[str, bytes]) -> None:
        """Keep what is published now. That it cannot be kept is logged, and no fault otherwise."""
        body = _encode(dict(published))
        unfinished = self._path.with_name(f".{self._path.name}-{os.getpid()}")
        try:
            unfinished.unlink(missing_ok=True)
            descriptor = open_private_file(unfinished, os.O_WRONLY)
            with os.fdopen(descriptor, "wb") as file:
                file.write(zlib.crc32(body).to_bytes(_CHECKSUM_OCTETS) + body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
            sync_directory(self._path.parent)
        except OSError as error:
            _log.warning("the NAS clients cannot be kept on disk", error=str(error))

    def kept(self) -> Mapping[str, bytes] | None:
        """Return what was kept last; None if there is nothing, or nothing that can be used."""
        try:
            octets = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("the NAS clients that were kept cannot be read", error=str(error))
            return None
        checksum, body = octets[:_CHECKSUM_OCTETS], octets[_CHECKSUM_OCTETS:]
        if zlib.crc32(body).to_bytes(_CHECKSUM_OCTETS) != checksum:
            _log.warning("the NAS clients that were kept cannot be read", error="damaged")
            return None
        return _decode(body)
