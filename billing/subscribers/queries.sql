-- name: plan_currency
-- The currency of the newest version of plan $1, if there is one.
SELECT definition -> 'tariff' ->> 'currency' FROM plans
WHERE name = $1 ORDER BY version DESC LIMIT 1

-- name: still_dropped_from
-- Another account than $2 from which the user name $1 is still on its way out of the store.
SELECT account_id FROM store_outbox
WHERE movement ->> 'username' = $1 AND movement ->> 'kind' = 'drop' AND account_id <> $2
LIMIT 1

-- name: add
-- Add the subscriber $1 of account $2 on plan $3 with the sealed password $4 of kind $6, at $5, with
-- the bounds $7 to $12; returns nothing if the user name is taken.
INSERT INTO subscribers (username, account_id, plan, password_sealed, created_at, password_kind,
    session_limit, when_full, calling_station, nas, framed_pool, framed_ip)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::inet)
ON CONFLICT DO NOTHING
RETURNING username

-- name: get
-- The subscriber $1.
SELECT username, account_id, plan, password_sealed IS NOT NULL AS has_password, created_at,
    password_kind, session_limit, when_full, calling_station, nas, framed_pool,
    host(framed_ip) AS framed_ip, suspended
FROM subscribers WHERE username = $1

-- name: list_of
-- The subscribers of account $1, by user name.
SELECT username, account_id, plan, password_sealed IS NOT NULL AS has_password, created_at,
    password_kind, session_limit, when_full, calling_station, nas, framed_pool,
    host(framed_ip) AS framed_ip, suspended
FROM subscribers WHERE account_id = $1 ORDER BY username

-- name: set_password
-- Give the subscriber $1 the sealed password $2 of kind $3.
UPDATE subscribers SET password_sealed = $2, password_kind = $3 WHERE username = $1

-- name: set_bounds
-- Give the subscriber $1 the bounds $2 to $7.
UPDATE subscribers SET session_limit = $2, when_full = $3, calling_station = $4, nas = $5,
    framed_pool = $6, framed_ip = $7::text::inet
WHERE username = $1

-- name: login_of
-- What the store keeps of the subscriber $1.
SELECT password_kind, password_sealed, session_limit, when_full, calling_station, nas,
    framed_pool, host(framed_ip) AS framed_ip, suspended
FROM subscribers WHERE username = $1

-- name: set_suspended
-- Suspend the subscriber $1, or no more ($2).
UPDATE subscribers SET suspended = $2 WHERE username = $1

-- name: set_plan
-- Put the subscriber $1 on plan $2.
UPDATE subscribers SET plan = $2 WHERE username = $1

-- name: plan_in_force
-- The plan that the subscriber $1 is on, throttled or not, and whether it is served.
SELECT coalesce(throttle.plan, subscribers.plan) AS plan, served
FROM subscribers LEFT JOIN account_throttles AS throttle USING (account_id)
WHERE username = $1

-- name: remove
-- Remove the subscriber $1 of account $2; returns the user name if it was there.
DELETE FROM subscribers WHERE username = $1 AND account_id = $2 RETURNING username

-- name: create_imported
-- Where the rows of a file are, while they are taken in.
CREATE TEMPORARY TABLE imported (
    line integer NOT NULL,
    username text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    plan text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    topup_micros bigint NOT NULL,
    password_sealed bytea,
    password_kind text NOT NULL,
    session_limit integer,
    when_full text NOT NULL,
    calling_station text,
    nas text,
    framed_pool text,
    framed_ip text
) ON COMMIT DROP

-- name: analyze_imported
-- Tell the planner how many there are.
ANALYZE imported

-- name: lock_accounts
-- Take the accounts of the rows that exist, in one order, until the transaction ends.
SELECT account_id FROM customer_billing_accounts
WHERE account_id IN (SELECT account_id FROM imported)
ORDER BY account_id
FOR NO KEY UPDATE

-- name: faults_of_imported
-- What is wrong with the rows beside what the database holds; more than $1 micros is no balance.
WITH newest AS (
    SELECT DISTINCT ON (name) name, definition -> 'tariff' ->> 'currency' AS currency
    FROM plans ORDER BY name, version DESC
), existing AS (
    SELECT account_id, currency, status, (
        SELECT -coalesce(sum(amount_micros), 0)
        FROM ledger_postings AS posting JOIN ledgers USING (ledger)
        WHERE posting.account_id = account.account_id AND of_customer
    ) AS balance
    FROM customer_billing_accounts AS account
    WHERE account_id IN (SELECT account_id FROM imported)
), dropped AS (
    SELECT movement ->> 'username' AS username, account_id
    FROM store_outbox WHERE movement ->> 'kind' = 'drop'
)
SELECT line, 'username' AS "column", format('%s exists already', username) AS message
FROM imported JOIN subscribers USING (username)
UNION ALL
SELECT line, 'username', format('%s is just being removed from account %s; try again',
    username, dropped.account_id)
FROM imported JOIN dropped USING (username) WHERE dropped.account_id <> imported.account_id
UNION ALL
SELECT line, 'plan', format('%s does not exist', plan)
FROM imported WHERE NOT EXISTS (SELECT FROM newest WHERE name = plan)
UNION ALL
SELECT line, 'plan', format('%s is in %s, the account in %s', plan, newest.currency,
    imported.currency)
FROM imported JOIN newest ON name = plan WHERE newest.currency <> imported.currency
UNION ALL
SELECT line, 'currency', format('account %s is in %s, here in %s', account_id, existing.currency,
    imported.currency)
FROM imported JOIN existing USING (account_id) WHERE existing.currency <> imported.currency
UNION ALL
SELECT line, 'account', format('account %s is closed', account_id)
FROM imported JOIN existing USING (account_id) WHERE status = 'closed'
UNION ALL
SELECT min(line), 'topup', format('account %s would have too large a balance', account_id)
FROM imported JOIN existing USING (account_id)
GROUP BY account_id, balance HAVING balance + sum(topup_micros) > $1
ORDER BY line

-- name: create_accounts
-- Create the accounts of the rows that do not exist, prepaid, at $1; returns them.
INSERT INTO customer_billing_accounts (account_id, currency, payment_mode, credit_limit_micros,
    created_at)
SELECT DISTINCT account_id, currency, 'prepaid', 0, $1::timestamptz FROM imported
ON CONFLICT DO NOTHING
RETURNING account_id, currency

-- name: create_subscribers
-- Create the subscribers of the rows, at $1.
INSERT INTO subscribers (username, account_id, plan, password_sealed, created_at, password_kind,
    session_limit, when_full, calling_station, nas, framed_pool, framed_ip)
SELECT username, account_id, plan, password_sealed, $1, password_kind,
    session_limit, when_full, calling_station, nas, framed_pool, framed_ip::inet
FROM imported

-- name: drop_imported
-- The rows are where they belong.
DROP TABLE imported
