-- name: create
-- Create account $1 with currency $2, payment mode $3, credit limit $4, minimum balance $5,
-- at $6; returns nothing if it exists.
INSERT INTO customer_billing_accounts
    (account_id, currency, payment_mode, credit_limit_micros, minimum_balance_micros, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING account_id

-- name: lock
-- Read account $1 and keep others from changing it until the transaction ends. Rows that refer to
-- it may still be written meanwhile.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros
FROM customer_billing_accounts
WHERE account_id = $1
FOR NO KEY UPDATE

-- name: get
-- Account $1 with its balance.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros,
    created_at,
    (SELECT -coalesce(sum(amount_micros), 0)::bigint
        FROM ledger_postings AS posting JOIN ledgers USING (ledger)
        WHERE posting.account_id = account.account_id AND of_customer) AS balance_micros
FROM customer_billing_accounts AS account
WHERE account_id = $1

-- name: list
-- The first $2 accounts after account $1, with their balances.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros,
    created_at,
    (SELECT -coalesce(sum(amount_micros), 0)::bigint
        FROM ledger_postings AS posting JOIN ledgers USING (ledger)
        WHERE posting.account_id = account.account_id AND of_customer) AS balance_micros
FROM customer_billing_accounts AS account
WHERE account_id > $1
ORDER BY account_id
LIMIT $2

-- name: set_limits
-- Give account $1 the credit limit $2 and the minimum balance $3.
UPDATE customer_billing_accounts
SET credit_limit_micros = $2, minimum_balance_micros = $3
WHERE account_id = $1

-- name: set_status
-- Give account $1 the status $2.
UPDATE customer_billing_accounts SET status = $2 WHERE account_id = $1

-- name: posted_under_key
-- What was posted for account $1 under the idempotency key $2, if anything was.
SELECT transaction_id, kind, -sum(amount_micros)::bigint AS micros
FROM billing_transactions JOIN ledger_postings AS posting USING (transaction_id)
    JOIN ledgers USING (ledger)
WHERE billing_transactions.account_id = $1 AND idempotency_key = $2
    AND posting.account_id = $1 AND of_customer
GROUP BY transaction_id
