"""Work that nobody waits for: `jobs` is the durable queue, `scheduler` runs it and fills it."""
