-- name: granted_under_key
-- What account $1 was granted under the idempotency key $2.
SELECT * FROM allowance_grants WHERE account_id = $1 AND idempotency_key = $2

-- name: grant
-- Keep a grant to account $1: $2 movement sequence, $3 idempotency key, $4 name, $5 unit, $6 amount,
-- $7 priority, $8 since, $9 until (NULL: never), $10 plan, $11 user name, $12 source, $13 reason,
-- $14 by whom, $15 when, $16 its part of the pool.
INSERT INTO allowance_grants (account_id, sequence, idempotency_key, name, unit, amount, priority,
    since, until, plan, username, source, reason, actor, granted_at, part)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
RETURNING *

-- name: user_of
-- Whether the user name $2 is of account $1.
SELECT EXISTS (SELECT FROM subscribers WHERE account_id = $1 AND username = $2)

-- name: plan_exists
-- Whether there is a plan $1.
SELECT EXISTS (SELECT FROM plans WHERE name = $1)

-- name: notices
-- The $2 latest notices of account $1 (NULL: of all).
SELECT * FROM allowance_notices WHERE $1::text IS NULL OR account_id = $1
ORDER BY noticed_at DESC, notice_id DESC LIMIT $2
