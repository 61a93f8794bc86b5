"""Payments: money that comes in, which documents it pays, and what of it goes back.

`payment` says what a payment is and what may become of it (pure); `register` receives and lists
them, `allocation` puts them on documents, `refunds` and `chargebacks` take them back, `methods`
keeps how an account pays, `gateway` is the port to whoever moves the money.
"""
