-- name: find
-- Where document $1 $2 is kept as $3.
SELECT storage_key, sha256 FROM documents
WHERE document_kind = $1 AND document_id = $2 AND format = $3

-- name: keep
-- Document $1 $2 is kept as $3 under key $4, with SHA-256 $5 and $6 octets, at $7; nothing is
-- returned if it was kept before.
INSERT INTO documents (document_kind, document_id, format, storage_key, sha256, octets, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING storage_key

-- name: applied
-- What credit had paid of invoice $1 when it was finalized.
SELECT applied_micros FROM invoices WHERE invoice_id = $1

-- name: payment
-- Payment $1.
SELECT payment_id, account_id, currency, amount_micros, method, reference, status, settled_at
FROM payments WHERE payment_id = $1

-- name: used_for
-- What payment $1 is used for: numbers and amounts.
SELECT number, sum(allocation.amount_micros - released_micros)::bigint AS micros
FROM payment_allocations AS allocation JOIN invoices ON invoice_id = document_id
WHERE payment_id = $1 AND document_kind = 'invoice'
GROUP BY number, invoice_id
HAVING sum(allocation.amount_micros - released_micros) > 0
ORDER BY invoice_id

-- name: opening
-- The balance of account $1 before $2.
SELECT -coalesce(sum(amount_micros), 0)::bigint
FROM ledger_postings JOIN ledgers USING (ledger)
WHERE account_id = $1 AND of_customer AND posted_at < $2

-- name: movements
-- What moved the balance of account $1 from $2 up to $3 (excluded), usage by the day of zone $4.
SELECT min(entry.posted_at) AS posted_at, min(description) AS description, kind,
    -sum(amount_micros)::bigint AS micros
FROM ledger_postings JOIN ledgers USING (ledger)
    JOIN billing_transactions AS entry USING (transaction_id)
WHERE ledger_postings.account_id = $1 AND of_customer AND ledger_postings.posted_at >= $2
    AND ledger_postings.posted_at < $3
GROUP BY kind, CASE WHEN kind = 'usage' THEN 0 ELSE transaction_id END,
    CASE WHEN kind = 'usage' THEN (entry.posted_at AT TIME ZONE $4)::date END
HAVING sum(amount_micros) <> 0
ORDER BY min(entry.posted_at), min(transaction_id)
