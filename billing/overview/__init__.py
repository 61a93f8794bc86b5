"""What staff see first: figures of the whole, of a customer, and over time, all from the ledger."""
