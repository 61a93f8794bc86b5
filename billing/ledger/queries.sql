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

-- name: credit
-- What account $1 paid in or was given that is on no document and was not used, in micros.
SELECT -coalesce(sum(amount_micros), 0)::bigint
FROM ledger_postings JOIN ledgers USING (ledger)
WHERE account_id = $1 AND ledgers.name = 'customer_credit'

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
WHERE transaction_id IN (
    SELECT DISTINCT transaction_id FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE account_id = $1 AND of_customer AND transaction_id < coalesce($2, 9223372036854775807)
    ORDER BY transaction_id DESC
    LIMIT $3
)
ORDER BY transaction_id DESC, ledger DESC

-- name: opening
-- The balance of account $1 before $2.
SELECT -coalesce(sum(amount_micros), 0)::bigint
FROM ledger_postings JOIN ledgers USING (ledger)
WHERE account_id = $1 AND of_customer AND posted_at < $2

-- name: period
-- What changed the balance of account $1 from $2 on, before $3: each transaction, but usage by day in
-- the time zone $4, in order.
SELECT kind, max(rows.posted_at) AS at, sum(amount_micros)::bigint AS amount_micros,
    CASE WHEN kind = 'usage' THEN NULL ELSE max(transaction_id) END AS transaction_id,
    CASE WHEN kind = 'usage' THEN '' ELSE max(description) END AS description
FROM (
    SELECT transaction_id, posted_at, -sum(amount_micros) AS amount_micros
    FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE account_id = $1 AND of_customer AND posted_at >= $2 AND posted_at < $3
    GROUP BY transaction_id, posted_at
    HAVING sum(amount_micros) <> 0
) AS rows
JOIN billing_transactions USING (transaction_id)
GROUP BY kind, CASE WHEN kind = 'usage' THEN date_trunc('day', rows.posted_at AT TIME ZONE $4) END,
    CASE WHEN kind = 'usage' THEN 0 ELSE transaction_id END
ORDER BY at, transaction_id

-- name: search_account
-- The last $10 transactions of account $1 before transaction $2, newest first, with what each did to
-- its balance: of kind $3, by $4, posted since $5, before $6, of at least $7 micros either way,
-- with $8 in the description or under key $9; NULL is any.
SELECT entry.transaction_id, entry.posted_at, entry.kind, $1::text AS account_id,
    entry.description, entry.actor, entry.idempotency_key, effect.amounts
FROM (
    SELECT DISTINCT transaction_id FROM ledger_postings
    WHERE account_id = $1 AND transaction_id < coalesce($2, 9223372036854775807)
    ORDER BY transaction_id DESC
) AS touched
JOIN billing_transactions AS entry USING (transaction_id),
LATERAL (
    SELECT jsonb_object_agg(currency, amount_micros) AS amounts,
        max(abs(amount_micros)) AS largest
    FROM (
        SELECT currency, -sum(amount_micros) AS amount_micros
        FROM ledger_postings JOIN ledgers USING (ledger)
        WHERE account_id = $1 AND transaction_id = entry.transaction_id
            AND posted_at = entry.posted_at AND of_customer
        GROUP BY currency
    ) AS each
) AS effect
WHERE ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR actor = $4)
    AND ($5::timestamptz IS NULL OR entry.posted_at >= $5)
    AND ($6::timestamptz IS NULL OR entry.posted_at < $6)
    AND ($7::bigint IS NULL OR effect.largest >= $7)
    AND ($8::text IS NULL OR strpos(lower(description), lower($8)) > 0)
    AND ($9::text IS NULL OR idempotency_key = $9)
ORDER BY entry.transaction_id DESC
LIMIT $10

-- name: search
-- The last $9 transactions before transaction $1, newest first, with what each did to the balances of
-- all its accounts together; filters $2 to $8 are those of search_account ($3 to $9).
SELECT entry.transaction_id, entry.posted_at, entry.kind, entry.account_id, entry.description,
    entry.actor, entry.idempotency_key, effect.amounts
FROM billing_transactions AS entry,
LATERAL (
    SELECT jsonb_object_agg(currency, amount_micros) AS amounts,
        max(abs(amount_micros)) AS largest
    FROM (
        SELECT currency, -sum(amount_micros) AS amount_micros
        FROM ledger_postings JOIN ledgers USING (ledger)
        WHERE account_id = entry.account_id AND transaction_id = entry.transaction_id
            AND posted_at = entry.posted_at AND of_customer
        GROUP BY currency
        UNION ALL
        SELECT currency, sum(amount_micros)
        FROM ledger_postings
        WHERE entry.account_id IS NULL AND account_id IS NULL
            AND transaction_id = entry.transaction_id AND posted_at = entry.posted_at
        GROUP BY currency
    ) AS each
) AS effect
WHERE transaction_id < coalesce($1, 9223372036854775807)
    AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR actor = $3)
    AND ($4::timestamptz IS NULL OR entry.posted_at >= $4)
    AND ($5::timestamptz IS NULL OR entry.posted_at < $5)
    AND ($6::bigint IS NULL OR effect.largest >= $6)
    AND ($7::text IS NULL OR strpos(lower(description), lower($7)) > 0)
    AND ($8::text IS NULL OR idempotency_key = $8)
ORDER BY transaction_id DESC
LIMIT $9
