-- name: create
-- Keep the token with hash $1 and role $2, created at $3.
INSERT INTO api_tokens (token_hash, role, created_at) VALUES ($1, $2, $3)

-- name: role_of
-- The role of the token with hash $1, unless it was revoked.
SELECT role FROM api_tokens WHERE token_hash = $1 AND revoked_at IS NULL

-- name: revoke
-- Revoke the token with hash $1 at $2; returns its role if it was valid until then.
UPDATE api_tokens SET revoked_at = $2 WHERE token_hash = $1 AND revoked_at IS NULL RETURNING role
