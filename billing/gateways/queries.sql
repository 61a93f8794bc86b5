-- What gateways told (gateway_events), payments to ask them about, and top-ups without a person.

-- name: keep
-- Keep event $2 of gateway $1: $3 body, at $4. Returns nothing if it is kept already.
INSERT INTO gateway_events (gateway, event_id, body, received_at, try_at)
VALUES ($1, $2, $3, $4, $4)
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: lock_event
-- Event $2 of gateway $1, kept from others until the transaction ends.
SELECT * FROM gateway_events WHERE gateway = $1 AND event_id = $2 FOR NO KEY UPDATE

-- name: waiting
-- The first $2 events that are to be acted on at $1.
SELECT gateway, event_id FROM gateway_events
WHERE processed_at IS NULL AND try_at <= $1
ORDER BY received_at LIMIT $2

-- name: waiting_soonest
-- Have the other events of gateway $1 than $3 that could not be acted on yet be tried at $2. Those
-- that are being acted on just now are left alone.
UPDATE gateway_events SET try_at = $2 WHERE (gateway, event_id) IN (
    SELECT gateway, event_id FROM gateway_events
    WHERE gateway = $1 AND processed_at IS NULL AND try_at > $2 AND event_id <> $3
    LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED)

-- name: processed
-- Event $2 of gateway $1 is acted on, at $3, with outcome $4.
UPDATE gateway_events SET processed_at = $3, outcome = $4, attempts = attempts + 1
WHERE gateway = $1 AND event_id = $2

-- name: put_off
-- Event $2 of gateway $1 could not be acted on because of $4, and is tried again at $3.
UPDATE gateway_events SET try_at = $3, outcome = $4, attempts = attempts + 1
WHERE gateway = $1 AND event_id = $2

-- name: replay
-- Have event $2 of gateway $1 acted on again, at $3.
UPDATE gateway_events SET processed_at = NULL, try_at = $3
WHERE gateway = $1 AND event_id = $2
RETURNING event_id

-- name: list
-- The $2 last events, newest first; $1: only those that were not acted on.
SELECT gateway, event_id, received_at, attempts, processed_at, outcome FROM gateway_events
WHERE NOT $1 OR processed_at IS NULL
ORDER BY received_at DESC, event_id LIMIT $2

-- name: to_ask
-- The first $3 payments of gateway $1 whose end was not told at $2. One that was begun by us is asked
-- about after ten minutes, one that a customer makes at the gateway after the day that it may take;
-- then again after twice as long each time.
SELECT payment_id FROM payments
WHERE status IN ('pending', 'unknown') AND gateway = $1
    AND $2 >= created_at + CASE
        WHEN status = 'unknown' OR method_id IS NOT NULL OR gateway_reference IS NOT NULL
            THEN interval '10 minutes'
        ELSE interval '25 hours' END
    AND (asked_at IS NULL OR $2 >= asked_at + least(asked_at - created_at, interval '1 day'))
ORDER BY payment_id LIMIT $3

-- name: asked
-- The gateway of payment $1 was asked at $2.
UPDATE payments SET asked_at = $2 WHERE payment_id = $1

-- name: set_topup
-- Top account $1 up by method $2 with $3 micros, when its balance is below $4 or every $5 days,
-- from $6 on.
INSERT INTO auto_topups
    (account_id, method_id, amount_micros, below_micros, every_days, try_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT (account_id) DO UPDATE
SET method_id = $2, amount_micros = $3, below_micros = $4, every_days = $5, try_at = $6, failures = 0

-- name: drop_topup
-- Top account $1 up no more.
DELETE FROM auto_topups WHERE account_id = $1 RETURNING account_id

-- name: get_topup
-- How account $1 is topped up.
SELECT * FROM auto_topups WHERE account_id = $1

-- name: topups_due
-- The accounts after $2 that may be topped up at $1, with the threshold, if there is one. None whose
-- last one is still on its way.
SELECT account_id, below_micros FROM auto_topups
WHERE try_at <= $1 AND account_id > $2 AND NOT EXISTS (
    SELECT FROM payments WHERE payments.account_id = auto_topups.account_id
        AND status IN ('pending', 'unknown') AND idempotency_key LIKE 'auto-topup-%')
ORDER BY account_id LIMIT $3

-- name: claim_topup
-- Take the next top-up of account $1 at $2, unless another process has; not another before $3, or the
-- next by the calendar: a process that dies now must not have it paid twice.
UPDATE auto_topups SET attempts = attempts + 1,
    try_at = CASE WHEN every_days IS NULL THEN $3 ELSE $2 + make_interval(days => every_days) END
WHERE account_id = $1 AND try_at <= $2
RETURNING *

-- name: topup_ended
-- Account $1 is to be topped up again at $2 (NULL: no more) after so many failures ($3).
UPDATE auto_topups SET try_at = $2, failures = $3 WHERE account_id = $1
