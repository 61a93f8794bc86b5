"""Suspensions: why an account is suspended, by whom, until when.

An account is suspended as long as one cause of it holds; so a payment does not let somebody on
whom staff have suspended.
"""
