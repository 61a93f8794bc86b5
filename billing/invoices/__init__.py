"""Invoices: drafts, finalized documents and what becomes of them.

Pure: `invoice` says what one is, `line` what its lines come to, `postings` what it does to the
ledger. In Postgres: `charges` cuts settled charges into ranges and puts each on one line, `drafts`
makes and changes drafts, `finalizing` freezes them and gives them numbers (`numbers`), `lifecycle`
voids and writes off, `settling` is what payments and credit do to one, `reading` finds them.
"""
