"""Tokens for the HTTP interface: `register` creates them and tells whose they are."""
