"""What is available to the accounts of a batch, as its steps will find it one after the other.

The store decides what is granted; this predicts it, so that the deadline of a final slice can be
computed here by the tariff. A wrong prediction only makes the step stale, and it is rated again.
"""

from balances.messages import Account
from rating.pool import Pool, decode_pool


class Credit:
    """The accounts of one attempt at a batch, moved on by each step that is booked."""

    def __init__(self) -> None:
        self._moved: dict[str, tuple[int, int]] = {}
        self._pools: dict[str, tuple[int, Pool]] = {}

    def available(self, account: Account, *, charge: int, held: int) -> int | None:
        """Return what a step may be granted that charges so much and gives back what it held.

        None for unlimited credit.
        """
        if account.credit_limit is None:
            return None
        balance, reserved = self._moved.get(account.account, (account.balance, account.reserved))
        return (balance - charge) - (reserved - held) + account.credit_limit - account.minimum

    def pool(self, account: Account) -> Pool:
        """Return what the account's sessions share when a step is committed; not to be changed.

        Raises msgspec.DecodeError or struct.error for a pool that is not understood.
        """
        found = self._pools.get(account.account)
        if found is None:
            pool = Pool() if account.pool is None else decode_pool(account.pool)
            found = self._pools[account.account] = (account.rating_version, pool)
        return found[1]

    def share(self, account: Account, pool: Pool) -> None:
        """Note that a step is going to be committed which replaces the pool."""
        self._pools[account.account] = (self.rating_version(account) + 1, pool)

    def rating_version(self, account: Account) -> int:
        """Return the rating version that a step will find."""
        found = self._pools.get(account.account)
        return account.rating_version if found is None else found[0]

    def book(self, account: Account, *, charge: int, held: int, grant: int) -> None:
        """Note that a step is going to be committed."""
        balance, reserved = self._moved.get(account.account, (account.balance, account.reserved))
        self._moved[account.account] = (balance - charge, reserved - held + grant)
