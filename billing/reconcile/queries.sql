-- name: accounts
-- All accounts, by id.
SELECT account_id FROM customer_billing_accounts ORDER BY account_id

-- name: now
-- The time by Postgres's clock, also in a transaction that began earlier.
SELECT clock_timestamp()

-- name: ledger_side
-- What Postgres knows of the accounts $1, at one moment, when the store has applied their movements
-- up to $2: ledger balance, last movement posted, and the movements that the store lacks (how many,
-- and the money in them). In one statement, because its parts must be of one snapshot.
WITH seen AS (
    SELECT * FROM unnest($1::text[], $2::bigint[]) AS seen (account_id, moved)
), posted AS (
    SELECT account_id, currency, -sum(amount_micros)::bigint AS balance_micros
    FROM ledger_postings JOIN ledgers USING (ledger)
    WHERE of_customer AND account_id = ANY($1::text[])
    GROUP BY account_id, currency
), waiting AS (
    SELECT account_id, count(*) AS movements,
        sum((movement ->> 'amount')::bigint) FILTER (WHERE movement ->> 'kind' = 'post')::bigint
            AS posted_micros
    FROM store_outbox JOIN seen USING (account_id)
    WHERE sequence > moved
    GROUP BY account_id
)
SELECT account_id, currency, movement_sequence, coalesce(balance_micros, 0) AS balance_micros,
    coalesce(movements, 0) AS movements, coalesce(posted_micros, 0) AS posted_micros
FROM seen
JOIN customer_billing_accounts USING (account_id)
LEFT JOIN posted USING (account_id, currency)
LEFT JOIN waiting USING (account_id)

-- name: ledger_remainders
-- The currencies in which the ledger does not sum to zero.
SELECT currency, sum(amount_micros)::bigint AS remainder_micros FROM ledger_postings
GROUP BY currency HAVING sum(amount_micros) <> 0

-- name: parked_count
-- How many settlement entries are parked, of all generations.
SELECT count(*) FROM parked_entries

-- name: parked_entries
-- The parked entries of partition $1, generation $2: what the store's balances include and the ledger
-- does not.
SELECT entry FROM parked_entries WHERE partition = $1 AND generation = $2
