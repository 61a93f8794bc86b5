"""Taxes: which rates hold for a line (`treatment`), what they come to (`calculation`), both pure.

`rate` says what a rate is, `ratefile` reads rates from a file, `rates` keeps them in Postgres.
Documents keep what was applied to them, so a rate that changes later changes none of them.
"""
