-- name: begin
-- Begin the request with token $1, key $2 and hash $3 at $4; returns nothing if it is there. One
-- that is under way elsewhere is waited for.
INSERT INTO http_requests (token_hash, idempotency_key, request_hash, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING true

-- name: get
-- The request with token $1 and key $2.
SELECT request_hash, status, answer FROM http_requests
WHERE token_hash = $1 AND idempotency_key = $2

-- name: end
-- The request with token $1 and key $2 was answered with status $3 and body $4.
UPDATE http_requests SET status = $3, answer = $4 WHERE token_hash = $1 AND idempotency_key = $2

-- name: forget
-- Forget up to 20 requests that began before $1.
DELETE FROM http_requests WHERE ctid IN (
    SELECT ctid FROM http_requests WHERE created_at < $1 LIMIT 20 FOR UPDATE SKIP LOCKED)
