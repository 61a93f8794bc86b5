"""Rebuild: the store's books written anew from Postgres, whatever became of the store."""
