-- name: create
-- Create account $1 with currency $2, payment mode $3, credit limit $4, minimum balance $5,
-- at $6; $7 to $13 customer, payer, time zone, language, payment days, auto-pay, excluded from
-- dunning. Returns nothing if it exists.
INSERT INTO customer_billing_accounts
    (account_id, currency, payment_mode, credit_limit_micros, minimum_balance_micros, created_at,
    customer_id, payer_id, time_zone, language, payment_days, auto_pay, dunning_excluded)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT DO NOTHING
RETURNING account_id

-- name: lock
-- Read account $1 and keep others from changing it until the transaction ends. Rows that refer to
-- it may still be written meanwhile.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros
FROM customer_billing_accounts
WHERE account_id = $1
FOR NO KEY UPDATE

-- name: lock_many
-- Read the accounts $1, in one order, as lock does.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros
FROM customer_billing_accounts
WHERE account_id = ANY($1::text[])
ORDER BY account_id
FOR NO KEY UPDATE

-- name: get
-- Account $1 with its balance.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros,
    created_at, customer_id, payer_id, time_zone, language, payment_days, auto_pay,
    dunning_excluded, revision,
    (SELECT -coalesce(sum(amount_micros), 0)::bigint
        FROM ledger_postings AS posting JOIN ledgers USING (ledger)
        WHERE posting.account_id = account.account_id AND of_customer) AS balance_micros
FROM customer_billing_accounts AS account
WHERE account_id = $1

-- name: set_limits
-- Give account $1 the credit limit $2 and the minimum balance $3.
UPDATE customer_billing_accounts
SET credit_limit_micros = $2, minimum_balance_micros = $3, revision = revision + 1
WHERE account_id = $1

-- name: set_status
-- Give account $1 the status $2.
UPDATE customer_billing_accounts SET status = $2, revision = revision + 1 WHERE account_id = $1

-- name: set_particulars
-- Account $1: $2 customer, $3 payer, $4 time zone, $5 language, $6 payment days, $7 auto-pay,
-- $8 excluded from dunning.
UPDATE customer_billing_accounts
SET customer_id = $2, payer_id = $3, time_zone = $4, language = $5, payment_days = $6,
    auto_pay = $7, dunning_excluded = $8, revision = revision + 1
WHERE account_id = $1

-- name: search
-- The first $6 accounts after account $1, of customer $2, status $3, currency $4, payment mode $5
-- (NULL: any), with their balances.
SELECT account_id, currency, payment_mode, status, credit_limit_micros, minimum_balance_micros,
    created_at, customer_id, payer_id, time_zone, language, payment_days, auto_pay,
    dunning_excluded, revision,
    (SELECT -coalesce(sum(amount_micros), 0)::bigint
        FROM ledger_postings AS posting JOIN ledgers USING (ledger)
        WHERE posting.account_id = account.account_id AND of_customer) AS balance_micros
FROM customer_billing_accounts AS account
WHERE account_id > $1 AND ($2::text IS NULL OR customer_id = $2)
    AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR currency = $4)
    AND ($5::text IS NULL OR payment_mode = $5)
ORDER BY account_id
LIMIT $6

-- name: payer_of
-- Who is billed for account $1, and its currency and status.
SELECT payer_id, currency, status FROM customer_billing_accounts WHERE account_id = $1

-- name: customer_exists
-- Whether customer $1 exists and was not erased.
SELECT EXISTS (SELECT FROM customers WHERE customer_id = $1 AND erased_at IS NULL)

-- name: pays_for
-- Whether account $1 is billed for another.
SELECT EXISTS (SELECT FROM customer_billing_accounts WHERE payer_id = $1)

-- name: posted_under_key
-- What was posted for account $1 under the idempotency key $2, if anything was.
SELECT transaction_id, kind, -sum(amount_micros)::bigint AS micros
FROM billing_transactions JOIN ledger_postings AS posting USING (transaction_id)
    JOIN ledgers USING (ledger)
WHERE billing_transactions.account_id = $1 AND idempotency_key = $2
    AND posting.account_id = $1 AND of_customer
GROUP BY transaction_id

-- name: note_topup
-- The top-up of account $2 by transaction $1, $3 micros, at $4, gets a document if the entity documents
-- top-ups.
INSERT INTO topup_documents (transaction_id, account_id, amount_micros, received_at)
SELECT $1, $2, $3, $4 FROM billing_entities
WHERE entity = 'main' AND definition ->> 'prepaid_documents' = 'topup'
