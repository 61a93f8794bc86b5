-- name: accounts
-- Prepaid accounts a0000000 and on, $1 of them, created at $2.
INSERT INTO customer_billing_accounts
    (account_id, currency, payment_mode, credit_limit_micros, created_at)
SELECT 'a' || to_char(n, 'FM0000000'), 'EUR', 'prepaid', 0, $2::timestamptz
FROM generate_series(0, $1::integer - 1) AS n

-- name: subscribers
-- A subscriber of each, u0000000 and on, $1 of them, on the plan $2, created at $3.
INSERT INTO subscribers (username, account_id, plan, created_at)
SELECT 'u' || to_char(n, 'FM0000000'), 'a' || to_char(n, 'FM0000000'), $2, $3::timestamptz
FROM generate_series(0, $1::integer - 1) AS n

-- name: money
-- A top-up of $1 micros for every account, at $2.
WITH made AS (
    INSERT INTO billing_transactions (posted_at, kind, account_id, description, actor)
    SELECT $2::timestamptz, 'topup', account_id, 'Top-up of the benchmark', 'bench'
    FROM customer_billing_accounts
    RETURNING transaction_id, account_id
)
INSERT INTO ledger_postings
    (transaction_id, posted_at, ledger, account_id, currency, amount_micros)
SELECT transaction_id, $2::timestamptz, ledger, CASE ledger WHEN 20 THEN account_id END, 'EUR',
    amount
FROM made, (VALUES (10, $1::bigint), (20, -$1::bigint)) AS posting (ledger, amount)
