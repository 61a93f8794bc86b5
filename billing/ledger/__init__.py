"""The ledger: append-only double entry in which every micro that moves is written down.

`chart` names the accounts of the books, `transaction` what a balanced transaction is (pure),
`journal` writes them, `statement` reads balances and histories from them.
"""
