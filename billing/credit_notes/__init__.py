"""Credit notes: what is given back of finalized documents, at the tax rates that they had.

`credit` says what a credit note comes to (pure), `issuing` writes it, `reading` finds it.
"""
