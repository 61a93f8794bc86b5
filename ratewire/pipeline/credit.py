"""What is available to the accounts of a batch, as its steps will find it one after the other.

The store decides what is granted; this predicts it, so that the deadline of a final slice can be
computed here by the tariff. A wrong prediction only makes the step stale, and it is rated again.
"""

from balances.messages import Account


class Credit:
    """The accounts of one attempt at a batch, moved on by each step that is booked."""

    def __init__(self) -> None:
        self._moved: dict[str, tuple[int, int]] = {}

    def available(self, account: Account, *, charge: int, held: int) -> int | None:
        """Return what a step may be granted that charges so much and gives back what it held.

        None for unlimited credit.
        """
        if account.credit_limit is None:
            return None
        balance, reserved = self._moved.get(account.account, (account.balance, account.reserved))
        return (balance - charge) - (reserved - held) + account.credit_limit - account.minimum

    def book(self, account: Account, *, charge: int, held: int, grant: int) -> None:
        """Note that a step is going to be committed."""
        balance, reserved = self._moved.get(account.account, (account.balance, account.reserved))
        self._moved[account.account] = (balance - charge, reserved - held + grant)
