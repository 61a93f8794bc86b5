"""Which errors are a person's to mend, and how they are told: what, where, what is allowed."""

import errno

from balances.errors import StoreEmpty, StoreError
from billing.backup.manifest import BackupError
from billing.catalogue.planfile import PlanFileError
from billing.database import DatabaseUnavailable, unavailable
from billing.documents.storage import Missing
from billing.errors import BillingError
from billing.rebuild.run import RebuildRefused
from billing.reconcile.run import BooksDiffer, ReconcileUnfinished
from billing.sealing.keyring import KeyringError
from billing.taxes.ratefile import RateFileError
from config.load import SettingsError
from migrations.runner import MigrationError
from ratewire.cli.running import Refused
from ratewire.demo.run import DemoFailed
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.fleet.runner import FleetError
from ratewire.ports import PortError
from ratewire.preparation import NotPrepared
from rating.money import AmountError

__all__ = ["Refused", "told"]

_TOLD = (
    AmountError,
    BackupError,
    BillingError,
    BooksDiffer,
    DatabaseUnavailable,
    DemoFailed,
    EmbeddedServersError,
    FleetError,
    KeyringError,
    MigrationError,
    Missing,
    NotPrepared,
    PlanFileError,
    PortError,
    RateFileError,
    RebuildRefused,
    ReconcileUnfinished,
    Refused,
    SettingsError,
)

#: What keeps a command from writing what it has to say.
_OF_OUTPUT = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


def told(error: Exception) -> str | None:
    """Return what to say of an error; None if it is a bug, to be shown whole."""
    if isinstance(error, _TOLD):
        return str(error)
    if isinstance(error, StoreEmpty):
        return "the store holds no books: run 'ratewire rebuild-balances'"
    if isinstance(error, StoreError):
        return f"the store: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in _OF_OUTPUT:
        return f"standard output: {error.strerror}"
    if unavailable(error):
        return f"the database: {error}"
    return None
