-- name: used_on
-- What sessions on plan $1 reported with an event time from $2 to before $3, of each account in the
-- order of time. Partitions of what was settled long before are not read.
SELECT usage.session_uid, usage.account_id, usage.event_at, usage.seconds, usage.octets_in,
    usage.octets_out, usage.used_seconds, usage.used_octets_in, usage.used_octets_out,
    usage.charged_micros, usage.plan_version, session.username, session.started_at,
    session.base_seconds, session.currency, kept.tally, pools.pool
FROM usage_records AS usage
JOIN accounting_sessions AS session USING (session_uid)
LEFT JOIN session_tallies AS kept USING (session_uid)
LEFT JOIN rating_pools AS pools ON pools.account_id = usage.account_id
WHERE session.plan = $1 AND usage.event_at >= $2 AND usage.event_at < $3
    AND usage.settled_at >= $2::timestamptz - interval '1 day'
ORDER BY usage.account_id, usage.event_at, usage.settled_at, usage.charge_sequence,
    usage.used_seconds, usage.used_octets_in, usage.used_octets_out
