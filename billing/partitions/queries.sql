-- name: ensure
-- Make the partitions of the month of $1 and of the $2 months after it; returns the missing ones.
SELECT ensure_partitions($1, $2)
