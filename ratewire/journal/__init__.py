"""The local journal: accounting that is kept on disk, and answered, while the store is away.

`frames` is what a file holds, `segments` the files of a directory, `slots` which directory belongs
to whom, `keeper` when records go there and how they get to the books, `clients` which NASes are
known to a listener that starts without the store. See docs/decisions/0007-local-journal.md.
"""
