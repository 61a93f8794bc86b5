"""One record's way: find its session and tariff, rate it, commit it, and only then answer.

`steps` is pure: what was found and what was reported go in, what to book comes out. `intake` runs
it over a batch of requests against the store.
"""
