"""Simulated worlds: the whole pipeline in virtual time, one seed one history (see README.md)."""
