"""Billing cycles: which period of which account is billed when, and for how much.

`calendar` cuts time into periods and `proration` prices a part of one; `proposal` says what is to
be billed, `difference` what of that was not billed yet, `bill` puts it together (all pure).
`schedule` keeps when an account is billed; `loading` reads what a bill is made from, `booking`
writes what it became, `drafting` puts it on invoices and `giving_back` on credit notes; `run` does
so for all that are due, and `parking` keeps those apart that cannot be billed.
"""
