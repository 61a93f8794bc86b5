"""How guessing of passwords is made slow, for each user at each NAS. Pure.

After a few wrong passwords the next ones are not looked at for a while that doubles each time; the
store keeps count, so that all listeners count as one. A subscriber whose password somebody guesses
at another NAS is not kept out by it.
"""

from balances.keys import session_key

#: Wrong passwords that cost nothing.
FREE = 3

SHORTEST_MS, LONGEST_MS = 2_000, 32_000

#: Wrong passwords are forgotten after so long without another.
FORGET_MS = 600_000


def guessed(user: str, client: str) -> str:
    """Return what the wrong passwords of a user at a NAS client are counted under."""
    return session_key(client, user)


def hold_ms(failures: int) -> int:
    """Return for how long logins are refused unseen after so many wrong passwords in a row."""
    if failures <= FREE:
        return 0
    return min(SHORTEST_MS * 2 ** min(failures - FREE - 1, 10), LONGEST_MS)
