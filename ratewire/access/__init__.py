"""Logins: who may begin a session, with what, and for how long.

`credentials` proves who it is, `decision` says what follows (pure), `desk` runs both against the
store and reserves, `answer` puts it into the attributes of the NAS's vendor. `slowing` makes
guessing slow, `expiry` gives back what no session began to use.
"""
