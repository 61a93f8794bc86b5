"""Real Valkey and real Postgres out of their PyPI wheels, for installations that name no server.

Linux only. `servers.EmbeddedServers` is what the rest of Ratewire uses. The modules below it, each
knowing only those before it: errors, server_user, private_files, locks, programs, place, process,
logs, server, valkey and postgres, lifecycle.
"""
