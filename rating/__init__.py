"""Decoded usage to a rated charge: pure, synchronous, total.

Nothing here reads a clock, does IO, or knows where a record came from. Money is an integer number
of micros (10^-6 of the currency unit), usage is integer seconds and octets.
"""
