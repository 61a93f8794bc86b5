"""Coupons and promotions: what takes a part off the charges of an account, for how long.

`discount` says what one is and how it is spread over lines (pure), `register` keeps them, and who
has them.
"""
