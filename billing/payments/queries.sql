-- name: create
-- A payment of account $1: $2 currency, $3 micros, $4 method, $5 method id, $6 status, $7 gateway,
-- $8 its reference, $9 reference, $10 description, $11 failure, $12 idempotency key, $13 actor,
-- $14 created at; $15 settled at and $16 transaction, or NULL. Returns nothing if the gateway's
-- reference is known already.
INSERT INTO payments (account_id, currency, amount_micros, method, method_id, status, gateway,
    gateway_reference, reference, description, failure, idempotency_key, actor, created_at,
    settled_at, transaction_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (gateway, gateway_reference) DO NOTHING
RETURNING payment_id

-- name: get
-- Payment $1.
SELECT * FROM payments WHERE payment_id = $1

-- name: lock
-- Payment $1, kept from changing until the transaction ends.
SELECT * FROM payments WHERE payment_id = $1 FOR NO KEY UPDATE

-- name: under_key
-- The payment of account $1 with the idempotency key $2.
SELECT * FROM payments WHERE account_id = $1 AND idempotency_key = $2

-- name: under_gateway_reference
-- The payment that gateway $1 calls $2.
SELECT * FROM payments WHERE gateway = $1 AND gateway_reference = $2

-- name: list
-- The $7 payments before payment $1 (NULL: the newest), newest first; $2 account, $3 status,
-- $4 method, $5 reference (NULL: any of each), $6 created since (NULL: ever).
SELECT * FROM payments
WHERE ($1::bigint IS NULL OR payment_id < $1)
    AND ($2::text IS NULL OR account_id = $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR method = $4)
    AND ($5::text IS NULL OR reference = $5 OR gateway_reference = $5)
    AND ($6::timestamptz IS NULL OR created_at >= $6)
ORDER BY payment_id DESC
LIMIT $7

-- name: advance
-- Give payment $1 the status $2, failure $3, gateway's reference $4 (NULL: as it is), settled at $5
-- and transaction $6.
UPDATE payments
SET status = $2, failure = $3, gateway_reference = coalesce($4, gateway_reference),
    settled_at = $5, transaction_id = $6
WHERE payment_id = $1

-- name: change_sums
-- Add to payment $1: $2 allocated, $3 refunded, $4 disputed, $5 lost (micros).
UPDATE payments
SET allocated_micros = allocated_micros + $2, refunded_micros = refunded_micros + $3,
    disputed_micros = disputed_micros + $4, lost_micros = lost_micros + $5
WHERE payment_id = $1

-- name: allocate
-- Put $4 micros of payment $1 on document $2 $3, at $5, in transaction $6; returns the id.
INSERT INTO payment_allocations
    (payment_id, document_kind, document_id, amount_micros, allocated_at, transaction_id)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING allocation_id

-- name: with_rest
-- The payments of the accounts $1 of which something stands nowhere else, the newest first.
SELECT account_id, payment_id, amount_micros - allocated_micros - refunded_micros - disputed_micros
    - lost_micros AS rest_micros
FROM payments
WHERE account_id = ANY($1::text[]) AND status = 'succeeded'
    AND amount_micros > allocated_micros + refunded_micros + disputed_micros + lost_micros
ORDER BY payment_id DESC
FOR NO KEY UPDATE

-- name: draw
-- Of the payments $1 so much stands on the invoices $2: $3 micros, by the transactions $4 (by
-- position), at $5.
WITH parts AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS p (payment_id, invoice_id, micros, transaction_id)
), sums AS (
    UPDATE payments SET allocated_micros = allocated_micros + drawn.micros
    FROM (SELECT payment_id, sum(micros)::bigint AS micros FROM parts GROUP BY payment_id) AS drawn
    WHERE payments.payment_id = drawn.payment_id
)
INSERT INTO payment_allocations
    (payment_id, document_kind, document_id, amount_micros, allocated_at, transaction_id)
SELECT payment_id, 'invoice', invoice_id, micros, $5, transaction_id FROM parts

-- name: lock_allocation
-- Allocation $1, kept from changing.
SELECT * FROM payment_allocations WHERE allocation_id = $1 FOR NO KEY UPDATE

-- name: payment_of_allocation
-- Whose part allocation $1 is.
SELECT payment_id FROM payment_allocations WHERE allocation_id = $1

-- name: allocations_of_payment
-- The allocations of payment $1, oldest first.
SELECT * FROM payment_allocations WHERE payment_id = $1 ORDER BY allocation_id

-- name: allocations_of_document
-- The allocations on document $1 $2, oldest first.
SELECT * FROM payment_allocations
WHERE document_kind = $1 AND document_id = $2 ORDER BY allocation_id

-- name: release
-- Take $2 micros of allocation $1 back.
UPDATE payment_allocations SET released_micros = released_micros + $2 WHERE allocation_id = $1

-- name: refund
-- Give back $2 micros of payment $1: $3 reason, $4 gateway's reference, $5 idempotency key,
-- $6 actor, $7 at, $8 transaction; returns the id.
INSERT INTO refunds (payment_id, amount_micros, reason, gateway_reference, idempotency_key, actor,
    refunded_at, transaction_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING refund_id

-- name: refund_of_gateway
-- The refund of payment $1 that its gateway calls $2.
SELECT * FROM refunds WHERE payment_id = $1 AND gateway_reference = $2

-- name: refund_under_key
-- The refund of payment $1 with the idempotency key $2.
SELECT * FROM refunds WHERE payment_id = $1 AND idempotency_key = $2

-- name: refunds_of_payment
-- The refunds of payment $1, oldest first.
SELECT * FROM refunds WHERE payment_id = $1 ORDER BY refund_id

-- name: open_chargeback
-- The bank takes $2 micros of payment $1 back under reference $3, for reason $4; $5 actor, $6 at.
-- Returns nothing if that reference is known.
INSERT INTO chargebacks (payment_id, amount_micros, reference, reason, actor, opened_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (payment_id, reference) DO NOTHING
RETURNING chargeback_id

-- name: lock_chargeback
-- Chargeback $1, kept from changing.
SELECT chargebacks.*, currency FROM chargebacks JOIN payments USING (payment_id)
WHERE chargeback_id = $1 FOR NO KEY UPDATE OF chargebacks

-- name: get_chargeback
-- Chargeback $1.
SELECT chargebacks.*, currency FROM chargebacks JOIN payments USING (payment_id)
WHERE chargeback_id = $1

-- name: chargeback_under_reference
-- The chargeback of payment $1 with the bank's reference $2.
SELECT chargebacks.*, currency FROM chargebacks JOIN payments USING (payment_id)
WHERE payment_id = $1 AND chargebacks.reference = $2

-- name: chargebacks_of_payment
-- The chargebacks of payment $1, oldest first.
SELECT chargebacks.*, currency FROM chargebacks JOIN payments USING (payment_id)
WHERE payment_id = $1 ORDER BY chargeback_id

-- name: list_chargebacks
-- The $3 chargebacks before $1 (NULL: the newest), newest first, of status $2 (NULL: any).
SELECT chargebacks.*, currency FROM chargebacks JOIN payments USING (payment_id)
WHERE ($1::bigint IS NULL OR chargeback_id < $1)
    AND ($2::text IS NULL OR chargebacks.status = $2)
ORDER BY chargeback_id DESC
LIMIT $3

-- name: close_chargeback
-- Chargeback $1 ended as $2, with a fee of $3 micros, at $4.
UPDATE chargebacks SET status = $2, fee_micros = $3, closed_at = $4 WHERE chargeback_id = $1

-- name: add_method
-- A method of account $1: $2 kind, $3 gateway, $4 sealed token, $5 label, $6 expiry, $7 at.
INSERT INTO payment_methods
    (account_id, kind, gateway, token_sealed, label, expires_on, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING method_id

-- name: methods_of_account
-- The methods of account $1 that were not removed, oldest first.
SELECT * FROM payment_methods WHERE account_id = $1 AND removed_at IS NULL ORDER BY method_id

-- name: get_method
-- Method $1.
SELECT * FROM payment_methods WHERE method_id = $1

-- name: clear_default
-- Account $1 has no default method.
UPDATE payment_methods SET is_default = false WHERE account_id = $1 AND is_default

-- name: set_default
-- Method $1 is its account's default.
UPDATE payment_methods SET is_default = true WHERE method_id = $1 AND removed_at IS NULL

-- name: remove_method
-- Method $1 is removed at $2, and its token with it.
UPDATE payment_methods SET removed_at = $2, is_default = false, token_sealed = NULL
WHERE method_id = $1 AND removed_at IS NULL
RETURNING method_id
