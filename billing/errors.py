"""What can be wrong with a request to the billing side. The messages are written for its author."""


class BillingError(Exception):
    """Base of all: nothing was changed."""


class InvalidInput(BillingError):
    """A value that cannot be; the message says which, and what is allowed."""


class NotFound(BillingError):
    """What the request is about does not exist."""


class Conflict(BillingError):
    """What the request asks for contradicts what is there."""
