"""Monthly partitions of the tables that grow with time, made ahead of it by `ensure`."""
