"""The clock of the billing side: the real one, or in test mode one that is moved by hand.

Only what bills and duns goes by it; sessions, reservations and logs go by the real time.
"""
