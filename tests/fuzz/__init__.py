"""Hostile datagrams by seed, on the engine and on the running system: see README.md."""
