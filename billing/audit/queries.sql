-- name: set_origin
-- Until the transaction ends, changes are by $1, from $2, on request $3.
SELECT set_config('ratewire.actor', $1, true), set_config('ratewire.source', $2, true),
    set_config('ratewire.request_id', $3, true)

-- name: list
-- The $6 events before event $1 (NULL: the newest), newest first, of subject $2 (a table), of the
-- subject's id $3, by actor $4, of request $5 (NULL: any).
SELECT * FROM audit_events
WHERE ($1::bigint IS NULL OR event_id < $1)
    AND ($2::text IS NULL OR subject = $2)
    AND ($3::text IS NULL OR subject_id = $3)
    AND ($4::text IS NULL OR actor = $4)
    AND ($5::text IS NULL OR request_id = $5)
ORDER BY event_id DESC
LIMIT $6
