"""Dunning: what is done about debts that are overdue, step by step, until they are paid.

`campaign` says which steps there are and `decision` which of them are due (both pure).
"""
