"""Vouchers: credit sold as a code, redeemed once.

`code` makes and reads codes (pure), `batches` makes and withdraws vouchers, `redeeming` turns one
into a payment.
"""
