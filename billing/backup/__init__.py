"""Backup and restore: Postgres in a directory of files, and from it the store's books as well."""
