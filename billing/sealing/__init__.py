"""Secrets at rest: `keyring` seals NAS secrets and passwords; its key is not in the database."""
