-- The newest usage record of a session is the one with the latest settlement; of several settled
-- together the one with the highest counters, which only move forward.

-- name: newest_epochs
-- The newest epoch of each session key of $1, with its newest usage record if it is open.
SELECT session.*, usage.settled_at, usage.event_at, usage.used_seconds, usage.used_octets_in,
    usage.used_octets_out, usage.total_micros, kept.tally
FROM (
    SELECT DISTINCT ON (session_key) *
    FROM accounting_sessions
    WHERE session_key = ANY($1::text[])
    ORDER BY session_key, opened_at DESC, epoch DESC
) AS session
LEFT JOIN LATERAL (
    SELECT * FROM usage_records
    WHERE session_uid = session.session_uid AND session.closed_at IS NULL
    ORDER BY settled_at DESC, used_seconds DESC, used_octets_in DESC, used_octets_out DESC
    LIMIT 1
) AS usage ON true
LEFT JOIN session_tallies AS kept ON kept.session_uid = session.session_uid

-- name: living_sessions
-- All sessions that are open, with their newest usage record, or were closed no longer ago than $1;
-- none that was followed by another epoch.
SELECT session.*, usage.settled_at, usage.event_at, usage.used_seconds, usage.used_octets_in,
    usage.used_octets_out, usage.total_micros, kept.tally
FROM accounting_sessions AS session
LEFT JOIN LATERAL (
    SELECT * FROM usage_records
    WHERE session_uid = session.session_uid AND session.closed_at IS NULL
    ORDER BY settled_at DESC, used_seconds DESC, used_octets_in DESC, used_octets_out DESC
    LIMIT 1
) AS usage ON true
LEFT JOIN session_tallies AS kept ON kept.session_uid = session.session_uid
WHERE (session.closed_at IS NULL OR session.closed_at > now() - $1::interval) AND NOT EXISTS (
    SELECT FROM accounting_sessions AS later
    WHERE later.session_key = session.session_key
        AND (later.opened_at, later.epoch) > (session.opened_at, session.epoch)
)

-- name: usage_by_user
-- Sessions and what they used and were charged, by user name ($1, or all if NULL) and currency.
SELECT username, currency, count(*) AS sessions, sum(seconds)::bigint AS seconds,
    sum(octets_in) AS octets_in, sum(octets_out) AS octets_out,
    sum(charged_micros)::bigint AS charged_micros
FROM (
    SELECT username, currency, seconds, octets_in, octets_out, charged_micros
    FROM accounting_sessions
    WHERE closed_at IS NOT NULL AND ($1::text IS NULL OR username = $1)
    UNION ALL
    SELECT username, currency, coalesce(used_seconds, 0), coalesce(used_octets_in, 0),
        coalesce(used_octets_out, 0), coalesce(total_micros, 0)
    FROM accounting_sessions AS session
    LEFT JOIN LATERAL (
        SELECT * FROM usage_records
        WHERE session_uid = session.session_uid
        ORDER BY settled_at DESC, used_seconds DESC, used_octets_in DESC, used_octets_out DESC
        LIMIT 1
    ) AS usage ON true
    WHERE closed_at IS NULL AND ($1::text IS NULL OR username = $1)
) AS used
GROUP BY username, currency
ORDER BY username, currency

-- name: sessions_of
-- The newest $3 sessions of account $1 or user name $2 (the other is NULL), as they stand.
SELECT session.*, usage.used_seconds, usage.used_octets_in, usage.used_octets_out,
    usage.total_micros
FROM (
    SELECT * FROM accounting_sessions
    WHERE ($1::text IS NULL OR account_id = $1) AND ($2::text IS NULL OR username = $2)
    ORDER BY opened_at DESC, session_uid DESC
    LIMIT $3
) AS session
LEFT JOIN LATERAL (
    SELECT * FROM usage_records
    WHERE session_uid = session.session_uid AND session.closed_at IS NULL
    ORDER BY settled_at DESC, used_seconds DESC, used_octets_in DESC, used_octets_out DESC
    LIMIT 1
) AS usage ON true
ORDER BY session.opened_at, session.session_uid

-- name: session
-- The session epoch $1.
SELECT session.*, usage.used_seconds, usage.used_octets_in, usage.used_octets_out,
    usage.total_micros
FROM accounting_sessions AS session
LEFT JOIN LATERAL (
    SELECT * FROM usage_records
    WHERE session_uid = session.session_uid AND session.closed_at IS NULL
    ORDER BY settled_at DESC, used_seconds DESC, used_octets_in DESC, used_octets_out DESC
    LIMIT 1
) AS usage ON true
WHERE session.session_uid = $1

-- name: records_of_session
-- The usage records of session epoch $1, in the order in which they were charged.
SELECT usage.*, told.lines FROM usage_records AS usage
LEFT JOIN charge_lines AS told USING (session_uid, settled_at, charge_sequence)
WHERE session_uid = $1
ORDER BY settled_at, used_seconds, used_octets_in, used_octets_out

-- name: plan_versions
-- The definitions of plans, by name and version.
SELECT name, version, definition FROM plans
JOIN unnest($1::text[], $2::integer[]) AS wanted (name, version) USING (name, version)

-- name: lines_of_sessions
-- The lines of all charges of the sessions $1 that keep them, in the order of charging.
SELECT session_uid, lines FROM charge_lines
WHERE session_uid = ANY($1::uuid[])
ORDER BY session_uid, settled_at, charge_sequence

-- name: settled_with
-- When the ledger's transaction $1 settled usage, and its kind.
SELECT posted_at, kind FROM billing_transactions WHERE transaction_id = $1

-- name: charges_of_account
-- The usage records of account $1 with charge sequence $2 (NULL: any), or settled at $3 (NULL: any),
-- the latest first, at most $4; with what their sessions are.
SELECT usage.*, session.username, session.plan, session.currency, told.lines
FROM accounting_sessions AS session
JOIN usage_records AS usage USING (session_uid)
LEFT JOIN charge_lines AS told USING (session_uid, settled_at, charge_sequence)
WHERE session.account_id = $1 AND usage.account_id = $1
    AND ($2::bigint IS NULL OR usage.charge_sequence = $2)
    AND ($3::timestamptz IS NULL OR usage.settled_at = $3)
ORDER BY usage.settled_at DESC, usage.charge_sequence DESC, usage.used_seconds DESC,
    usage.used_octets_in DESC, usage.used_octets_out DESC
LIMIT $4
