"""The schema of the Postgres database, and how it changes: `runner` brings a database up to date.

A change is a pair in `versions`: NNNN_what.sql, which is what happens, and NNNN_what.py, which
tells Alembic its place in the order. Changes only go forward.
"""
