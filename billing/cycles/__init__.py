"""Billing cycles: which period of which account is billed when, and for how much.

`calendar` cuts time into periods and `proration` prices a part of one; `proposal` says what is to be
billed and `difference` what of that was not billed yet (all pure). `schedule` keeps when an account
is billed.
"""
