"""Offers: what a service is sold as, which is a plan for its usage and charges by the calendar.

`offer` says what one is (pure), `register` keeps their versions.
"""
