-- name: suspend
-- Account $1 is suspended by cause $2 for the reason $3 by $4 from $5 on; returns nothing if it is.
INSERT INTO suspensions (account_id, cause, reason, actor, since) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING suspension_id

-- name: lift
-- The cause $2 of account $1 holds no more, from $3 on, says $4, because of $5; returns nothing if it
-- did not hold.
UPDATE suspensions SET lifted_at = $3, lifted_by = $4, lifted_reason = $5
WHERE account_id = $1 AND cause = $2 AND lifted_at IS NULL
RETURNING suspension_id

-- name: holds
-- Whether some cause holds for account $1.
SELECT EXISTS (SELECT FROM suspensions WHERE account_id = $1 AND lifted_at IS NULL)

-- name: list
-- The suspensions of account $1, oldest first.
SELECT cause, reason, actor, since, lifted_at, lifted_by, lifted_reason
FROM suspensions WHERE account_id = $1 ORDER BY suspension_id
