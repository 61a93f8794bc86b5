"""The road to the store: movements that were posted in Postgres and are to be applied there.

`post` puts them on the road, in the transaction that causes them; `relay` brings them to the store,
in each account's order, and mirrors the plans and the NASes; `waiting` shows what is on the road.
"""
