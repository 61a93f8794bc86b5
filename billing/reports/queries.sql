-- name: journal
-- What was posted since $1, before $2: by day in the zone $3, ledger, kind of transaction and
-- currency, debits and credits.
SELECT (posting.posted_at AT TIME ZONE $3)::date AS day, ledgers.name AS ledger, kind, currency,
    coalesce(sum(amount_micros) FILTER (WHERE amount_micros > 0), 0)::bigint AS debit_micros,
    (-coalesce(sum(amount_micros) FILTER (WHERE amount_micros < 0), 0))::bigint AS credit_micros
FROM ledger_postings AS posting
JOIN ledgers USING (ledger)
JOIN billing_transactions USING (transaction_id)
WHERE posting.posted_at >= $1 AND posting.posted_at < $2
GROUP BY day, posting.ledger, ledgers.name, kind, currency
ORDER BY day, posting.ledger, kind, currency

-- name: revenue
-- Revenue posted since $1, before $2: usage by plan and NAS, the rest by kind of transaction.
-- ($3, the zone, only dates days.)
SELECT kind, plan, nas, currency, sum(micros)::bigint AS amount_micros
FROM (
    SELECT 'usage' AS kind, plan, nas, currency, usage_records.charged_micros AS micros
    FROM usage_records JOIN accounting_sessions USING (session_uid)
    WHERE settled_at >= $1 AND settled_at < $2
    UNION ALL
    SELECT kind, '', '', currency, -amount_micros
    FROM ledger_postings AS posting
    JOIN ledgers USING (ledger)
    JOIN billing_transactions USING (transaction_id)
    WHERE posting.posted_at >= $1 AND posting.posted_at < $2 AND ledgers.name = 'revenue'
        AND kind <> 'usage'
) AS each
WHERE $3::text IS NOT NULL
GROUP BY kind, plan, nas, currency
HAVING sum(micros) <> 0
ORDER BY currency, kind, plan, nas

-- name: taxes
-- Tax posted since $1, before $2, by kind of transaction. ($3, the zone, only dates days.)
SELECT kind, currency, (-sum(amount_micros))::bigint AS amount_micros
FROM ledger_postings AS posting
JOIN ledgers USING (ledger)
JOIN billing_transactions USING (transaction_id)
WHERE posting.posted_at >= $1 AND posting.posted_at < $2 AND ledgers.name = 'tax'
    AND $3::text IS NOT NULL
GROUP BY kind, currency
ORDER BY currency, kind

-- name: receivables
-- What is open of invoices on day $1, by account and by how long it is overdue.
SELECT account_id AS account, currency,
    sum(left_micros)::bigint AS total_micros,
    coalesce(sum(left_micros) FILTER (WHERE days <= 0), 0)::bigint AS not_due_micros,
    coalesce(sum(left_micros) FILTER (WHERE days BETWEEN 1 AND 30), 0)::bigint AS to_30_micros,
    coalesce(sum(left_micros) FILTER (WHERE days BETWEEN 31 AND 60), 0)::bigint AS to_60_micros,
    coalesce(sum(left_micros) FILTER (WHERE days BETWEEN 61 AND 90), 0)::bigint AS to_90_micros,
    coalesce(sum(left_micros) FILTER (WHERE days > 90), 0)::bigint AS over_90_micros
FROM (
    SELECT account_id, currency, $1::date - due_on AS days,
        total_micros - paid_micros - offset_micros AS left_micros
    FROM invoices WHERE status = 'open' AND kind = 'invoice'
) AS each
WHERE left_micros > 0
GROUP BY account_id, currency
ORDER BY account_id, currency

-- name: recurring
-- The services that run on day $1, by offer and version.
SELECT offer, offer_version, definition, sum(quantity)::bigint AS quantity
FROM service_terms JOIN offers ON (name, version) = (offer, offer_version)
WHERE starts_on <= $1 AND (ends_on IS NULL OR ends_on > $1)
GROUP BY offer, offer_version, definition
ORDER BY offer, offer_version

-- name: deferred
-- Lines of documents issued until day $1 whose service goes on after it: net, and the days of it.
SELECT number, account_id AS account, currency, item.description, service_from, service_until,
    item.net_micros
FROM invoices JOIN invoice_items AS item USING (invoice_id)
WHERE issued_on <= $1 AND status IN ('open', 'paid') AND invoices.kind = 'invoice'
    AND service_until > $1::date + 1
ORDER BY issued_on, invoice_id, line

-- name: leaders
-- Who used most since $1, before $2: by user and account, the first $3.
SELECT username, session.account_id AS account, currency, plan,
    sum(used_octets_in + used_octets_out)::bigint AS octets, sum(used_seconds)::bigint AS seconds,
    sum(usage_records.charged_micros)::bigint AS charged_micros
FROM usage_records JOIN accounting_sessions AS session USING (session_uid)
WHERE settled_at >= $1 AND settled_at < $2
GROUP BY username, session.account_id, currency, plan
ORDER BY charged_micros DESC, octets DESC, username
LIMIT $3

-- name: leakage
-- Where money is lost or lies still, as of now; a session without a sign of life since $1 is stale.
SELECT 'overspend' AS leak, account_id AS subject, currency, 1::bigint AS cases,
    owed.micros AS amount_micros
FROM customer_billing_accounts AS account
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount_micros), 0)::bigint - coalesce(account.credit_limit_micros, 0)
        AS micros
    FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE ledger_postings.account_id = account.account_id AND of_customer
) AS owed
WHERE payment_mode = 'prepaid' AND credit_limit_micros IS NOT NULL AND owed.micros > 0
UNION ALL
SELECT 'stranded_credit', account_id, currency, 1, held.micros
FROM customer_billing_accounts AS account
CROSS JOIN LATERAL (
    SELECT -coalesce(sum(amount_micros), 0)::bigint AS micros
    FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE ledger_postings.account_id = account.account_id AND of_customer
) AS held
WHERE status = 'closed' AND held.micros > 0
UNION ALL
SELECT 'unrated_sessions', reason, '', count(*), NULL FROM unrated_records GROUP BY reason
UNION ALL
SELECT 'parked_entries', 'settlement', '', count(*), NULL FROM parked_entries
HAVING count(*) > 0
UNION ALL
SELECT 'stale_sessions', nas, currency, count(*), sum(charged.micros)::bigint
FROM accounting_sessions AS session
CROSS JOIN LATERAL (
    SELECT max(settled_at) AS last_at, coalesce(sum(usage_records.charged_micros), 0) AS micros
    FROM usage_records WHERE usage_records.session_uid = session.session_uid
) AS charged
WHERE closed_at IS NULL AND coalesce(charged.last_at, opened_at) < $1
GROUP BY nas, currency
ORDER BY 1, 2, 3
