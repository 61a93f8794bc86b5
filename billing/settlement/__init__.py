"""Settlement: from the store's stream to Postgres, each entry exactly once.

`rows` says what the items of the stream become, purely; `writing` writes it; `booking` does so in a
transaction with the position, parking what cannot be; `consumer` goes through the stream.
"""
