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
