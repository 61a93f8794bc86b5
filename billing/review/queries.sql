-- name: unrated
-- The newest $2 sessions that could not be rated, of user name $1 or of all if it is NULL.
SELECT * FROM unrated_records WHERE $1::text IS NULL OR username = $1
ORDER BY last_at DESC, nas, acct_session_id, username LIMIT $2

-- name: anomalies
-- The newest $2 anomalies, of account $1 or of all if it is NULL, with their sessions if known.
SELECT anomalies.*, session_key, username
FROM anomalies LEFT JOIN accounting_sessions USING (session_uid)
WHERE $1::text IS NULL OR anomalies.account_id = $1
ORDER BY last_at DESC, session_uid, code LIMIT $2

-- name: parked
-- The newest $1 settlement entries that could not be booked.
SELECT * FROM parked_entries
ORDER BY parked_at DESC, partition, generation DESC, sequence DESC, item DESC LIMIT $1

-- name: enforcement
-- The newest $2 events of enforcement jobs, of session epoch $1 or of all if it is NULL.
SELECT * FROM enforcement_events WHERE $1::uuid IS NULL OR session_uid = $1
ORDER BY event_id DESC LIMIT $2

-- name: counts
-- How much there is of each.
SELECT (SELECT count(*) FROM unrated_records) AS unrated,
    (SELECT count(*) FROM anomalies) AS anomalies,
    (SELECT count(*) FROM parked_entries) AS parked

-- name: one_unrated
-- The session that could not be rated of NAS $1, Acct-Session-Id $2 and user name $3.
SELECT * FROM unrated_records WHERE (nas, acct_session_id, username) = ($1, $2, $3)

-- name: resolve
-- Move that session (as above), if it is still one of $4 records, the newest of them at $5, to the
-- resolved ones: with outcome $6 for reason $7, by $8, at $9. Returns nothing if it is not.
WITH gone AS (
    DELETE FROM unrated_records
    WHERE (nas, acct_session_id, username) = ($1, $2, $3) AND (records, last_at) = ($4, $5)
    RETURNING *
)
INSERT INTO unrated_resolutions (nas, acct_session_id, username, unrated_reason, records, event_at,
    seconds, octets_in, octets_out, outcome, reason, actor, resolved_at)
SELECT nas, acct_session_id, username, reason, records, event_at, seconds, octets_in, octets_out,
    $6, $7, $8, $9
FROM gone
RETURNING resolution_id

-- name: resolutions
-- The newest $2 sessions that were resolved, of user name $1 or of all if it is NULL.
SELECT * FROM unrated_resolutions WHERE $1::text IS NULL OR username = $1
ORDER BY resolution_id DESC LIMIT $2
