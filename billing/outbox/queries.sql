-- name: post
-- Number movements and put them on the road; returns their sequences, in the order given.
-- $1 accounts, $2 movements, both by position; $3 now
WITH given AS (
    SELECT account_id, movement, position,
        row_number() OVER (PARTITION BY account_id ORDER BY position) AS number
    FROM unnest($1::text[], $2::jsonb[]) WITH ORDINALITY AS m (account_id, movement, position)
), moved AS (
    UPDATE customer_billing_accounts AS account
    SET movement_sequence = movement_sequence + many.number
    FROM (SELECT account_id, count(*) AS number FROM given GROUP BY account_id) AS many
    WHERE account.account_id = many.account_id
    RETURNING account.account_id, movement_sequence - many.number AS before
), posted AS (
    INSERT INTO store_outbox (account_id, sequence, movement, created_at)
    SELECT account_id, before + number,
        movement || jsonb_build_object('sequence', before + number), $3
    FROM given JOIN moved USING (account_id)
)
SELECT before + number FROM given JOIN moved USING (account_id) ORDER BY position

-- name: notify
-- Wake the relays, once this transaction is committed. $1 the account, '' for several
SELECT pg_notify('ratewire_outbox', $1)

-- name: hold_publication
-- Keep others from changing $1 ("plans", "nas") meanwhile.
SELECT revision FROM publications WHERE what = $1 FOR UPDATE

-- name: bump_publication
-- What $1 stands for ("plans", "nas") changes in this transaction.
UPDATE publications SET revision = revision + 1 WHERE what = $1

-- name: notify_publication
-- Tell the relays, once this transaction is committed, that $1 ("plans", "nas") changed.
SELECT pg_notify('ratewire_publications', $1)

-- name: waiting_after
-- The next $3 movements after sequence $2 of account $1, in the order of the accounts; none of the
-- accounts $4.
SELECT account_id, sequence, movement
FROM store_outbox
WHERE (account_id, sequence) > ($1, $2) AND account_id <> ALL($4::text[])
ORDER BY account_id, sequence
LIMIT $3

-- name: waiting_of
-- The next $3 movements after sequence $2 of account $1, in order, of the accounts $4 only.
SELECT account_id, sequence, movement
FROM store_outbox
WHERE (account_id, sequence) > ($1, $2) AND account_id = ANY($4::text[])
ORDER BY account_id, sequence
LIMIT $3

-- name: delete_applied
-- Take off the road what the store has applied: of each account of $1 up to the sequence in $2.
-- What another relay is just taking off is left to it, so that no two wait for each other.
DELETE FROM store_outbox WHERE (account_id, sequence) IN (
    SELECT account_id, sequence
    FROM store_outbox JOIN unnest($1::text[], $2::bigint[]) AS applied (account_id, up_to)
        USING (account_id)
    WHERE sequence <= up_to
    FOR UPDATE OF store_outbox SKIP LOCKED
)

-- name: posted_up_to
-- The last movement posted for each of the accounts $1.
SELECT account_id, movement_sequence FROM customer_billing_accounts WHERE account_id = ANY($1)

-- name: note_refusal
-- Note why the store does not take movement $2 of account $1, unless that is known.
UPDATE store_outbox SET refusal = $3
WHERE account_id = $1 AND sequence = $2 AND refusal IS DISTINCT FROM $3

-- name: publication_revision
-- How often $1 ("plans", "nas") changed.
SELECT revision FROM publications WHERE what = $1

-- name: pass_publication
-- Go beyond revision $2 of $1 ("plans", "nas"), which was published before a restore.
UPDATE publications SET revision = $2 + 1 WHERE what = $1 AND revision <= $2

-- name: count_waiting
-- How many movements are on the road, and since when the oldest.
SELECT count(*) AS movements, min(created_at) AS oldest_at FROM store_outbox

-- name: refusals
-- The first $1 accounts whose movements stand still, each with the one that the store refuses.
SELECT account_id, sequence, movement, refusal, created_at,
    (SELECT count(*) FROM store_outbox AS behind WHERE behind.account_id = head.account_id)
        AS movements
FROM store_outbox AS head
WHERE refusal IS NOT NULL
ORDER BY account_id, sequence
LIMIT $1
