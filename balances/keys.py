"""Key names. All keys of a partition share a hash tag, so they live in one cluster slot.

<prefix>            rw:{<partition>}
<prefix>:meta       hash: generation, sequence, version, fence, accounts, revisions, totals
<prefix>:a:<id>     account, packed
<prefix>:p:<id>     what the account's sessions share for rating, if there is anything: opaque
<prefix>:s:<key>    session, packed header and opaque state; the key is "<nas>|<Acct-Session-Id>"
<prefix>:u:<name>   subscriber: account, plan, and what a login needs to know
<prefix>:as:<id>    set: session keys of an account's open sessions
<prefix>:ns:<nas>   set: session keys of a NAS's open sessions
<prefix>:wake       sorted set: session key by the time it needs a look at the latest (Unix ms)
<prefix>:regrants   sorted set: accounts whose sessions are to be granted anew ("a" all, "c" those
                    to be cut, "h" those that hold something, before the id), by SSCAN cursor
<prefix>:jobs       sorted set: job by due time (Unix ms);  <prefix>:j:<uid>  hash: the job
<prefix>:grants     sorted set: grant of a login by when it expires;  <prefix>:g:<uid>  the grant
<prefix>:ag:<id>    set: uids of an account's grants
<prefix>:gs:<key>   uid of the grant for the session of this key;  <prefix>:gu:<key>  for a device
<prefix>:lu:<name>  hash: uid -> session key, "" for a grant: a user's logins
<prefix>:lf:<key>   how many wrong passwords there were;  <prefix>:lh:<key>  logins are refused
<prefix>:boots      hash: NAS -> event time of its last Accounting-On or -Off (Unix s); old ones go
<prefix>:sweeps     set: NASes whose sessions of before that have to be closed
<prefix>:plans      hash: <name>@<version> -> plan;  <prefix>:nas  hash: name -> NAS client
<prefix>:settle     stream: settlement entries, with ids <generation>-<sequence>
<prefix>:soon       channel: something became due at once
"""


def prefix(partition: int) -> str:
    """Return the prefix of a partition's keys, with its hash tag."""
    return f"rw:{{{partition}}}"


def session_key(nas: str, acct_session_id: str) -> str:
    """Return the identity of a session on its NAS (an epoch more makes it unique).

    A bar in the NAS's name is escaped, so that two pairs never make one key.
    """
    if "|" in nas or "\\" in nas:
        nas = nas.replace("\\", "\\x5c").replace("|", "\\x7c")
    return f"{nas}|{acct_session_id}"


def all_pointers(nas: str, acct_session_id: str, username: str, station: str) -> list[str]:
    """Return by what a session may find the grant of its login, as ends of keys: best first."""
    device = f":gu:{session_key(nas, username)}|{station}"
    return [f":gs:{session_key(nas, acct_session_id)}", device]


def grant_pointers(nas: str, acct_session_id: str, username: str, station: str) -> list[str]:
    """Return what a login's grant is found by, as ends of keys: its session, and its device.

    By the device also an earlier login of it is known, which this one takes the place of. A login
    that names its session and no device is known by the session alone: the next one may be of
    another device.
    """
    session, device = all_pointers(nas, acct_session_id, username, station)
    if not acct_session_id:
        return [device]
    return [session, device] if station else [session]


def parts_of(session_key: str) -> tuple[str, str]:
    """Return the NAS and the Acct-Session-Id that make a session key."""
    nas, _, acct_session_id = session_key.partition("|")
    if "\\" in nas:
        nas = nas.replace("\\x7c", "|").replace("\\x5c", "\\")
    return nas, acct_session_id
