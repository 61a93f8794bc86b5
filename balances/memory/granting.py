"""Grants of logins: what an Access-Accept promised and no session has begun to use yet."""

import msgspec

from balances.memory import enforcement
from balances.memory.partition import Kept, Partition
from balances.messages import Account, Login, LoginOutcome, LoginStatus, Occupant
from rating.money import MAX_MICROS

_replace = msgspec.structs.replace


def drop(partition: Partition, uid: bytes) -> Kept:
    """Take a grant away with all that points to it; what it held is the caller's to book."""
    grant = partition.grants.pop(uid)
    partition.grant_agenda.discard(uid.hex())
    for pointer in grant.pointers:
        if partition.pointers.get(pointer) == uid:
            del partition.pointers[pointer]
    return grant


def take_over(partition: Partition, uid: bytes, session: str) -> None:
    """A session has begun with a grant."""
    grant = drop(partition, uid)
    partition.logins.setdefault(grant.username, {})[uid] = session


def release(partition: Partition, uids: list[bytes]) -> int:
    """Give back what grants hold; those that are gone are passed over. Return how many."""
    released = 0
    for uid in uids:
        if uid in partition.grants:
            grant = drop(partition, uid)
            account = partition.accounts[grant.account]
            partition.accounts[grant.account] = _replace(
                account, reserved=account.reserved - grant.held
            )
            partition.logins.get(grant.username, {}).pop(uid, None)
            released += 1
    return released


def held_by_grants(partition: Partition, account: str) -> int:
    """Return what the grants of an account hold together."""
    return sum(grant.held for grant in partition.grants.values() if grant.account == account)


def book_login(partition: Partition, login: Login, now_ms: int) -> LoginOutcome:
    """Reserve for a session that is going to begin, and count the user's sessions."""
    account = partition.accounts.get(login.account)
    if account is None:
        return LoginOutcome(now_ms, LoginStatus.NO_ACCOUNT, [])
    if account.rating_version != login.expected_rating:
        return LoginOutcome(now_ms, LoginStatus.STALE_RATING, [])
    if not 0 <= login.want <= MAX_MICROS or login.lifetime_ms < 1:
        return LoginOutcome(now_ms, LoginStatus.BEYOND_BOUNDS, [])
    earlier = _earlier(partition, login)
    there, gone = _occupants(partition, login, set(earlier), now_ms)
    if login.session_limit and len(there) >= login.session_limit:
        return LoginOutcome(now_ms, LoginStatus.FULL, there)
    status = _judge(login, account, sum(partition.grants[uid].held for uid in earlier))
    if status is not LoginStatus.GRANTED:
        return LoginOutcome(now_ms, status, [])
    release(partition, earlier)
    logins = partition.logins.setdefault(login.username, {})
    for uid in gone:
        logins.pop(uid, None)
    account = partition.accounts[login.account]
    partition.accounts[login.account] = _replace(account, reserved=account.reserved + login.grant)
    partition.grants[login.uid] = Kept(
        login.account,
        login.grant,
        now_ms + login.lifetime_ms,
        login.username,
        tuple(login.pointers),
    )
    partition.grant_agenda.set(login.uid.hex(), now_ms + login.lifetime_ms)
    partition.pointers |= dict.fromkeys(login.pointers, login.uid)
    logins[login.uid] = ""
    return LoginOutcome(now_ms, LoginStatus.GRANTED, there)


def _earlier(partition: Partition, login: Login) -> list[bytes]:
    """What the same device was granted before."""
    found = dict.fromkeys(
        uid for pointer in login.pointers if (uid := partition.pointers.get(pointer)) is not None
    )
    return [
        uid
        for uid in found
        if uid in partition.grants and partition.grants[uid].account == login.account
    ]


def _occupants(
    partition: Partition, login: Login, excepted: set[bytes], now_ms: int
) -> tuple[list[Occupant], list[bytes]]:
    """What takes a place of the user's limit, and what only seemed to."""
    counted = {each.uid: each.session for each in login.counted}
    known = {**counted, **partition.logins.get(login.username, {})}
    there: list[Occupant] = []
    gone: list[bytes] = []
    for uid, session in known.items():
        if uid in excepted:
            continue
        if _is_there(partition, uid, session, now_ms):
            there.append(Occupant(uid, session))
        else:
            gone.append(uid)
    return there, gone


def _is_there(partition: Partition, uid: bytes, session: str, now_ms: int) -> bool:
    if not session:
        return uid in partition.grants
    kept = partition.session(session, now_ms)
    if kept is None or not kept.stored.open or kept.stored.uid != uid:
        return False
    job = partition.jobs.get(uid.hex())
    return job is None or job.cause != enforcement.OPERATOR


def _judge(login: Login, account: Account, given_back: int) -> LoginStatus:
    after = _replace(account, reserved=account.reserved - given_back)
    grant = login.want
    if after.available is not None:
        grant = min(login.want, max(after.available, 0))
    if grant != login.grant:
        return LoginStatus.STALE_CREDIT
    if after.reserved + login.grant > MAX_MICROS:
        return LoginStatus.BEYOND_BOUNDS
    return LoginStatus.GRANTED
