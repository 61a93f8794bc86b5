-- name: totals
-- What stands on each ledger, by currency.
SELECT currency, name, sum(amount_micros)::bigint AS micros
FROM ledger_postings JOIN ledgers USING (ledger)
GROUP BY currency, name

-- name: accounts
-- How many accounts there are, by currency, payment mode and status.
SELECT currency, payment_mode, status, count(*) AS accounts
FROM customer_billing_accounts
GROUP BY currency, payment_mode, status

-- name: payments
-- How many payments there are and how much, by currency and status, received since $1, before $2.
SELECT currency, status, count(*) AS payments, sum(amount_micros)::bigint AS micros
FROM payments
WHERE created_at >= $1 AND created_at < $2
GROUP BY currency, status

-- name: turnover
-- What transactions did to balances since $1, before $2, by day, week or month ($3) in the zone $4,
-- by currency and kind.
SELECT date_trunc($3, posting.posted_at AT TIME ZONE $4)::date AS starts_on, currency, kind,
    -sum(amount_micros)::bigint AS micros, count(DISTINCT transaction_id) AS transactions
FROM ledger_postings AS posting
JOIN ledgers USING (ledger)
JOIN billing_transactions USING (transaction_id)
WHERE of_customer AND posting.posted_at >= $1 AND posting.posted_at < $2
GROUP BY starts_on, currency, kind
HAVING sum(amount_micros) <> 0
ORDER BY starts_on, currency, kind

-- name: of_customer
-- The accounts of customer $1, each with what its ledgers hold and its payments.
SELECT account_id, currency, payment_mode, status,
    coalesce(held.credit_micros, 0) AS credit_micros,
    coalesce(held.receivable_micros, 0) AS receivable_micros,
    coalesce(held.unbilled_micros, 0) AS unbilled_micros,
    coalesce(paid.micros, 0) AS paid_micros,
    coalesce(paid.returned_micros, 0) AS returned_micros, paid.last_at AS last_payment_at,
    (SELECT count(*) FROM subscribers WHERE subscribers.account_id = account.account_id)
        AS subscribers
FROM customer_billing_accounts AS account
LEFT JOIN LATERAL (
    SELECT -sum(amount_micros) FILTER (WHERE name = 'customer_credit')::bigint AS credit_micros,
        sum(amount_micros) FILTER (WHERE name = 'receivable')::bigint AS receivable_micros,
        sum(amount_micros) FILTER (WHERE name = 'unbilled_usage')::bigint AS unbilled_micros
    FROM ledger_postings AS posting JOIN ledgers USING (ledger)
    WHERE posting.account_id = account.account_id
) AS held ON true
LEFT JOIN LATERAL (
    SELECT sum(amount_micros)::bigint AS micros, max(settled_at) AS last_at,
        sum(refunded_micros + lost_micros)::bigint AS returned_micros
    FROM payments
    WHERE payments.account_id = account.account_id AND payments.status = 'succeeded'
) AS paid ON true
WHERE customer_id = $1
ORDER BY account_id
