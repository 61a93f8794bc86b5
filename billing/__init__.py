"""Committed charges to settled money: what lives in Postgres. One sub-package a noun.

`ledger` is the double entry that everything else posts to; `accounts`, `catalogue`, `subscribers`
and `nas` are what staff set up, and reach the store over `outbox`; `settlement` is the way back.
"""
