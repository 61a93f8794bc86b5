-- name: try_lock
-- Whether this session may rebuild partition $1; held until it is released or the session ends.
SELECT pg_try_advisory_lock(hashtextextended('ratewire.rebuild', $1))

-- name: unlock
-- Let others rebuild partition $1.
SELECT pg_advisory_unlock(hashtextextended('ratewire.rebuild', $1))

-- name: no_limit
-- All that there is is read, and the store waited for meanwhile, however long that takes.
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0

-- name: now
-- The time by Postgres's clock.
SELECT now()

-- name: accounts
-- All accounts, with their balances by the ledger; and their pools, with all that they were granted by
-- hand appended: what is in a pool already is not folded in again.
SELECT account_id, currency, status, credit_limit_micros, minimum_balance_micros,
    movement_sequence, coalesce(balance_micros, 0) AS balance_micros,
    CASE WHEN granted.parts IS NULL THEN pool
        ELSE coalesce(pool, '\x00000000'::bytea) || granted.parts END AS pool
FROM customer_billing_accounts AS account
LEFT JOIN rating_pools USING (account_id)
LEFT JOIN (
    SELECT account_id, string_agg(part, ''::bytea ORDER BY sequence) AS parts
    FROM allowance_grants GROUP BY account_id
) AS granted USING (account_id)
LEFT JOIN (
    SELECT account_id, currency, -sum(amount_micros)::bigint AS balance_micros
    FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE of_customer
    GROUP BY account_id, currency
) AS posted USING (account_id, currency)

-- name: subscribers
-- Who user names belong to, those that are served, and what their logins need to know; the throttled
-- are on another plan than they bought.
SELECT username, account_id, coalesce(throttle.plan, subscribers.plan) AS plan, password_kind,
    password_sealed, session_limit, when_full, calling_station, nas, framed_pool,
    host(framed_ip) AS framed_ip, suspended
FROM subscribers LEFT JOIN account_throttles AS throttle USING (account_id)
WHERE served

-- name: on_the_road
-- The movements that the store had not applied.
SELECT account_id, sequence FROM store_outbox

-- name: take_off_the_road
-- Movements that the rebuilt books contain: accounts $1, sequences $2.
DELETE FROM store_outbox AS waiting
USING unnest($1::text[], $2::bigint[]) AS contained (account_id, sequence)
WHERE waiting.account_id = contained.account_id AND waiting.sequence = contained.sequence

-- name: begin_generation
-- The books of partition $1 are now of generation $2, of which nothing is settled yet.
UPDATE settlement_positions
SET generation = $2, sequence = 0, settled_at = greatest(settled_at, now())
WHERE partition = $1
