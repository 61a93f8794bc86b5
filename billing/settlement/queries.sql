-- Settlement's statements. A batch is one transaction: its position first, then what it becomes.

-- name: position
-- The last entry settled of partition $1, and when.
SELECT generation, sequence, settled_at FROM settlement_positions WHERE partition = $1

-- name: begin
-- The partition $1 has books of generation $2, of which nothing is settled yet.
INSERT INTO settlement_positions (partition, generation, sequence, settled_at)
VALUES ($1, $2, 0, now())
ON CONFLICT (partition) DO NOTHING

-- name: advance
-- Move partition $1 from ($2, $3) to sequence $4, by compare-and-set: no row if it stands elsewhere.
-- The row stays locked to the end of the transaction, so settlers come one after the other. The time
-- of settlement never goes back, whatever the clock does: the newest record of a session is found by it.
UPDATE settlement_positions
SET sequence = $4, settled_at = greatest(settled_at, now())
WHERE partition = $1 AND generation = $2 AND sequence = $3
RETURNING settled_at

-- name: hold
-- The position of partition $1, held: nothing is settled until this transaction ends.
SELECT generation, sequence, settled_at FROM settlement_positions WHERE partition = $1
FOR UPDATE

-- name: post_usage
-- One ledger transaction for the charges of a batch: $1 when, $2 partition, $3 generation, $4 and $5
-- its first and last sequence, then account, currency and micros of each charge. A prepaid account's
-- credit is used up, a postpaid one owes more. Accounts that are not known in that currency are left
-- out: the caller counts the rows (one an account, one a currency for the revenue).
WITH entry AS (
    INSERT INTO billing_transactions
        (posted_at, kind, description, actor, partition, generation, first_sequence, last_sequence)
    VALUES ($1::timestamptz, 'usage', 'usage', 'settlement', $2, $3, $4, $5)
    RETURNING transaction_id
), charged AS MATERIALIZED (
    SELECT account.account_id, account.currency, account.payment_mode, charge.amount_micros
    FROM unnest($6::text[], $7::text[], $8::bigint[])
        AS charge (account_id, currency, amount_micros)
    JOIN customer_billing_accounts AS account USING (account_id, currency)
)
INSERT INTO ledger_postings
    (transaction_id, posted_at, ledger, account_id, currency, amount_micros)
SELECT entry.transaction_id, $1, ledgers.ledger, charged.account_id, charged.currency,
    charged.amount_micros
FROM entry, charged
JOIN ledgers ON ledgers.name
    = CASE charged.payment_mode WHEN 'prepaid' THEN 'customer_credit' ELSE 'unbilled_usage' END
UNION ALL
SELECT entry.transaction_id, $1, ledgers.ledger, NULL, charged.currency,
    -sum(charged.amount_micros)::bigint
FROM entry, charged, ledgers
WHERE ledgers.name = 'revenue'
GROUP BY entry.transaction_id, ledgers.ledger, charged.currency

-- name: strangers
-- Those of the accounts (with currency) that are not known.
SELECT account_id, currency FROM unnest($1::text[], $2::text[]) AS charge (account_id, currency)
WHERE NOT EXISTS (
    SELECT FROM customer_billing_accounts AS account
    WHERE account.account_id = charge.account_id AND account.currency = charge.currency
)

-- name: end_sessions
-- Sessions closed with their final figures, or open again (then these are NULL). Returns those found.
UPDATE accounting_sessions AS session
SET closed_at = ended.closed_at, close_reason = ended.close_reason,
    terminate_cause = ended.terminate_cause, last_event_at = ended.last_event_at,
    seconds = ended.seconds, octets_in = ended.octets_in, octets_out = ended.octets_out,
    charged_micros = ended.charged_micros
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bigint[], $5::timestamptz[],
        $6::bigint[], $7::numeric[], $8::numeric[], $9::bigint[])
    AS ended (session_uid, closed_at, close_reason, terminate_cause, last_event_at, seconds,
        octets_in, octets_out, charged_micros)
WHERE session.session_uid = ended.session_uid
RETURNING session.session_uid

-- name: move_bases
-- Where sessions are counted from, now that some of their usage is free: session, seconds, octets.
UPDATE accounting_sessions AS session
SET base_seconds = moved.seconds, base_octets_in = moved.octets_in,
    base_octets_out = moved.octets_out
FROM unnest($1::uuid[], $2::bigint[], $3::numeric[], $4::numeric[])
    AS moved (session_uid, seconds, octets_in, octets_out)
WHERE session.session_uid = moved.session_uid

-- name: note_anomalies
-- Anomalies by session and code: counted, with the counters of the last record.
INSERT INTO anomalies AS known
    (session_uid, code, account_id, first_at, last_at, records, event_at, seconds, octets_in,
        octets_out)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],
    $6::bigint[], $7::timestamptz[], $8::numeric[], $9::numeric[], $10::numeric[])
ON CONFLICT (session_uid, code) DO UPDATE SET
    last_at = greatest(known.last_at, excluded.last_at),
    records = known.records + excluded.records,
    event_at = excluded.event_at, seconds = excluded.seconds,
    octets_in = excluded.octets_in, octets_out = excluded.octets_out

-- name: keep_pools
-- What the sessions of accounts share for rating, as it is now: account, octets. An account that is
-- not known here has none.
INSERT INTO rating_pools (account_id, pool)
SELECT account_id, pool FROM unnest($1::text[], $2::bytea[]) AS kept (account_id, pool)
WHERE EXISTS (SELECT FROM customer_billing_accounts AS known WHERE known.account_id = kept.account_id)
ON CONFLICT (account_id) DO UPDATE SET pool = excluded.pool

-- name: note_allowances
-- Thresholds that were crossed: account, plan, by whose usage, allowance, its owner, the beginning of
-- its period, unit, amount, threshold, what was left, when. Each is noted once in a period.
INSERT INTO allowance_notices (account_id, plan, username, allowance, owner, since, unit, amount,
    threshold, remaining, noticed_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
    $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[])
ON CONFLICT DO NOTHING

-- name: keep_lines
-- The lines of charges: session, when they are settled, charge sequence, JSON.
INSERT INTO charge_lines (session_uid, settled_at, charge_sequence, lines)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::jsonb[])

-- name: keep_tallies
-- The running totals of sessions as they are now: session, MessagePack.
INSERT INTO session_tallies (session_uid, tally) SELECT * FROM unnest($1::uuid[], $2::bytea[])
ON CONFLICT (session_uid) DO UPDATE SET tally = excluded.tally

-- name: note_unrated
-- Sessions that could not be rated: counted, with the record that is the newest on its NAS's clock.
INSERT INTO unrated_records AS known
    (nas, acct_session_id, username, reason, client, first_at, last_at, records, kind, event_at,
        seconds, octets_in, octets_out, identity)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
    $7::timestamptz[], $8::bigint[], $9::smallint[], $10::timestamptz[], $11::bigint[],
    $12::numeric[], $13::numeric[], $14::bytea[])
ON CONFLICT (nas, acct_session_id, username) DO UPDATE SET
    first_at = least(known.first_at, excluded.first_at),
    last_at = greatest(known.last_at, excluded.last_at),
    records = known.records + excluded.records,
    (reason, client, kind, event_at, seconds, octets_in, octets_out, identity) = (
        SELECT reason, client, kind, event_at, seconds, octets_in, octets_out, identity
        FROM (SELECT excluded.*, 1 AS place UNION ALL SELECT known.*, 2 AS place) AS both_records
        ORDER BY event_at DESC, place LIMIT 1
    )

-- name: park
-- Items that are not booked, parked at $1, of partition $2: generation, sequence, item, field,
-- octets, why.
INSERT INTO parked_entries (parked_at, partition, generation, sequence, item, field, entry, error)
SELECT $1, $2, parked.*
FROM unnest($3::integer[], $4::bigint[], $5::integer[], $6::bytea[], $7::bytea[], $8::text[])
    AS parked
ON CONFLICT DO NOTHING
