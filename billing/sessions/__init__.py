"""Sessions as they were settled: what the store forgot, who used how much, and why it cost that.

A session's row is written when it opens and when it closes. While it is open, its newest usage
record is its state, so that a record costs no further row. `archive` gives sessions back to the
store, `usage` reports, `explain` gives the reasons of charges, `statement` lists sessions.
"""
