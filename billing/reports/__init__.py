"""Reports of the business, which add up to the ledger."""
