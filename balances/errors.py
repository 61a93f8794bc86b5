"""What can go wrong with the books as a whole. Each says what the caller should do."""


class StoreError(Exception):
    """Base of all: nothing of the call was booked, unless it says otherwise."""


class StoreUnavailable(StoreError):
    """The store does not answer, or not in time; a commit may or may not have been booked.

    Repeat it from a fresh read: a step that was booked is then stale and changes nothing.
    """


class StoreFenced(StoreError):
    """The books are being rebuilt or restored; try again until the fence is lifted."""


class StoreEmpty(StoreError):
    """The store holds no books. Never taken for a new installation: initialise or rebuild it."""


class StoreFull(StoreError):
    """The store has reached its memory bound. Stop acknowledging; settlement makes room."""


class StoreRefused(StoreError):
    """The store refused the call as wrong; the message says why. Repeating it does not help."""
