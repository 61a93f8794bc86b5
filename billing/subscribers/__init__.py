"""Subscribers: the user names that log in, each on a plan, at the expense of an account.

`subscriber` says what one is and `login` what its logins need to know (both pure), `register` keeps
them, `csv_file` reads many from a file (pure), `bulk_import` takes those in.
"""
