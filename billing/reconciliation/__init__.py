"""Bank files: what came is matched with who owes it, and becomes payments, each line once."""
