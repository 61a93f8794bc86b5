"""Billing cycles: which period of which account is billed when, and for how much.

`calendar` cuts time into periods and `proration` prices a part of one (both pure).
"""
