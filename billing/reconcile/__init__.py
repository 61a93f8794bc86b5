"""Reconcile: proof that the store's balances and the ledger agree to the micro, under traffic.

`terms` compares an account's two sides, purely; `charges` reads what is committed and not yet
settled; `run` reads both sides in the order that makes the comparison exact. Nothing is repaired.
"""
