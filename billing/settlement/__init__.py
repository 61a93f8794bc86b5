"""Settlement: from the store's stream to Postgres, each entry exactly once.

`rows` says what the items of the stream become, purely; `booking` writes that in a transaction with
the position; `consumer` goes through the stream.
"""
