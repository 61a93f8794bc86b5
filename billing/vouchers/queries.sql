-- name: create_batch
-- A batch of $3 vouchers of $2 micros of $1: $4 description, $5 expires at, $6 actor, $7 created at.
INSERT INTO voucher_batches
    (currency, amount_micros, vouchers, description, expires_at, actor, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING batch_id

-- name: get_batch
-- Batch $1 with how many of it were redeemed.
SELECT batch.*,
    (SELECT count(*) FROM vouchers WHERE batch_id = batch.batch_id AND payment_id IS NOT NULL)
        AS redeemed
FROM voucher_batches AS batch WHERE batch_id = $1

-- name: list_batches
-- The $2 batches before batch $1 (NULL: the newest), newest first.
SELECT batch.*,
    (SELECT count(*) FROM vouchers WHERE batch_id = batch.batch_id AND payment_id IS NOT NULL)
        AS redeemed
FROM voucher_batches AS batch
WHERE $1::bigint IS NULL OR batch_id < $1
ORDER BY batch_id DESC LIMIT $2

-- name: withdraw
-- Batch $1 is withdrawn at $2: nothing of it can be redeemed any more.
UPDATE voucher_batches SET withdrawn_at = $2 WHERE batch_id = $1 AND withdrawn_at IS NULL

-- name: lock
-- The voucher with the hash $1 and its batch, kept from changing.
SELECT code_hash, serial, payment_id, redeemed_at, batch_id, currency, amount_micros, expires_at,
    withdrawn_at
FROM vouchers JOIN voucher_batches USING (batch_id)
WHERE code_hash = $1
FOR NO KEY UPDATE OF vouchers

-- name: redeem
-- The voucher with the hash $1 became payment $2 at $3.
UPDATE vouchers SET payment_id = $2, redeemed_at = $3 WHERE code_hash = $1
