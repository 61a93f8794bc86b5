-- name: create
-- Keep the token with hash $1 and role $2, created at $3, of the name $4, valid until $5 (NULL: ever).
INSERT INTO api_tokens (token_hash, role, created_at, label, expires_at)
VALUES ($1, $2, $3, $4, $5)

-- name: role_of
-- The role of the token with hash $1, unless it was revoked or has ended at $2.
SELECT role FROM api_tokens
WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)

-- name: revoke
-- Revoke the token with hash $1 at $2; returns its role if it was valid until then.
UPDATE api_tokens SET revoked_at = $2 WHERE token_hash = $1 AND revoked_at IS NULL RETURNING role

-- name: list
-- All tokens, newest first. Twelve digits of the hash name one among all that will ever be made.
SELECT left(encode(token_hash, 'hex'), 12) AS token_id, role, created_at, revoked_at,
    label, expires_at
FROM api_tokens ORDER BY created_at DESC, token_hash

-- name: revoke_by_id
-- Revoke the token with id $1 at $2; returns it if it was valid until then.
UPDATE api_tokens SET revoked_at = $2
WHERE left(encode(token_hash, 'hex'), 12) = $1 AND revoked_at IS NULL
RETURNING left(encode(token_hash, 'hex'), 12) AS token_id, role, created_at, revoked_at,
    label, expires_at

-- name: hold_by_id
-- Hold the token with id $1 that is valid at $2 until the transaction ends.
SELECT token_hash, role, label, created_at, expires_at FROM api_tokens
WHERE left(encode(token_hash, 'hex'), 12) = $1 AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > $2)
FOR UPDATE

-- name: end
-- Let the token with hash $1 end at $2, unless it ends before.
UPDATE api_tokens SET expires_at = least(expires_at, $2) WHERE token_hash = $1
