-- name: tables
-- Tables of ours with rows, by name; the parts of a partitioned one together: live and dead rows,
-- octets of table and indexes.
SELECT coalesce(parent.relname, own.relname) AS name,
    sum(stat.n_live_tup)::bigint AS rows,
    sum(stat.n_dead_tup)::bigint AS dead,
    sum(pg_total_relation_size(own.oid))::bigint AS octets
FROM pg_stat_user_tables AS stat
JOIN pg_class AS own ON own.oid = stat.relid
LEFT JOIN pg_inherits ON inhrelid = own.oid
LEFT JOIN pg_class AS parent ON parent.oid = inhparent
WHERE stat.schemaname = 'public'
GROUP BY 1
HAVING sum(stat.n_live_tup + stat.n_dead_tup) > 0
ORDER BY 1
