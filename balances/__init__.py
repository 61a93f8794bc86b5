"""Rated charges to committed balances: what lives in Valkey.

`port` says what may be asked of the books, `messages` and `entries` what goes in and comes out;
`store` keeps the books in Valkey (or Redis 7), `memory` in plain Python with the same semantics.
"""
