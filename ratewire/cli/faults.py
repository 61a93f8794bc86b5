"""Which errors are a person's to mend, and how they are told: what, where, what is allowed."""

from balances.errors import StoreError
from billing.catalogue.planfile import PlanFileError
from billing.database import DatabaseUnavailable, unavailable
from billing.errors import BillingError
from billing.sealing.keyring import KeyringError
from config.load import SettingsError
from ratewire.demo.run import DemoFailed
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.fleet.runner import FleetError
from ratewire.preparation import NotPrepared
from rating.money import AmountError


class Refused(Exception):
    """A command cannot be carried out; the message says why and what is allowed."""


_TOLD = (
    AmountError,
    BillingError,
    DatabaseUnavailable,
    DemoFailed,
    EmbeddedServersError,
    FleetError,
    KeyringError,
    NotPrepared,
    PlanFileError,
    Refused,
    SettingsError,
)


def told(error: Exception) -> str | None:
    """Return what to say of an error; None if it is a bug, to be shown whole."""
    if isinstance(error, _TOLD):
        return str(error)
    if isinstance(error, StoreError):
        return f"the store: {error}"
    if unavailable(error):
        return f"the database: {error}"
    return None
