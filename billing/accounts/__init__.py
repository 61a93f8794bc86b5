"""Billing accounts: who pays, in which currency, up to which limit, and the money they put in.

`account` says what an account is and what it may be (pure), `register` keeps them, `money` moves
money. Each change takes the account's row, and is posted to the store in the same transaction.
"""
