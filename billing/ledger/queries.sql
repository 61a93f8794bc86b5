-- name: write_transaction
-- Write one transaction and its postings; returns its id.
-- $1 posted at, $2 kind, $3 account or NULL, $4 description, $5 actor, $6 idempotency key or NULL,
-- $7 to $10 stream partition, generation, first and last sequence or NULL,
-- $11 to $14 the postings: ledgers, accounts, currencies, micros
WITH written AS (
    INSERT INTO billing_transactions (posted_at, kind, account_id, description, actor,
        idempotency_key, partition, generation, first_sequence, last_sequence)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING transaction_id
), posted AS (
    INSERT INTO ledger_postings
        (transaction_id, posted_at, ledger, account_id, currency, amount_micros)
    SELECT transaction_id, $1, ledger, account_id, currency, amount_micros
    FROM written, unnest($11::smallint[], $12::text[], $13::text[], $14::bigint[])
        AS p (ledger, account_id, currency, amount_micros)
)
SELECT transaction_id FROM written

-- name: reserve_ids
-- Take the ids of $1 transactions that are to be copied in.
SELECT nextval(pg_get_serial_sequence('billing_transactions', 'transaction_id'))
FROM generate_series(1, $1::bigint)

-- name: balance
-- The balance of account $1 in micros: minus what its ledgers hold.
SELECT -coalesce(sum(amount_micros), 0)::bigint
FROM ledger_postings JOIN ledgers USING (ledger)
WHERE account_id = $1 AND of_customer

-- name: statement
-- What the last $3 transactions before transaction $2 (NULL: all) did to account $1, newest first,
-- each with the balance after it; a row for each ledger that a transaction touched.
SELECT transaction_id, rows.posted_at, kind, description, actor, idempotency_key, ledger, currency,
    amount_micros, balance_micros
FROM (
    SELECT transaction_id, posted_at, ledger, currency,
        -sum(amount_micros)::bigint AS amount_micros,
        (-sum(sum(amount_micros)) OVER (ORDER BY transaction_id, ledger))::bigint AS balance_micros
    FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE account_id = $1 AND of_customer
    GROUP BY transaction_id, posted_at, ledger, currency
) AS rows
JOIN billing_transactions USING (transaction_id)
WHERE $2::bigint IS NULL OR transaction_id < $2
ORDER BY transaction_id DESC, ledger DESC
LIMIT $3
