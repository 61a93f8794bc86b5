-- name: create
-- Coupon $1: description, terms, valid from and until, promotion, most redemptions, at; returns
-- nothing if the code is taken.
INSERT INTO coupons (code, description, terms, valid_from, valid_until, promotion,
    most_redemptions, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING code

-- name: get
-- Coupon $1.
SELECT * FROM coupons WHERE code = $1

-- name: list
-- The first $2 coupons after code $1.
SELECT * FROM coupons WHERE code > $1 ORDER BY code LIMIT $2

-- name: withdraw
-- Coupon $1 cannot be redeemed any more, from $2 on; returns nothing if it could not before.
UPDATE coupons SET withdrawn_at = $2 WHERE code = $1 AND withdrawn_at IS NULL RETURNING code

-- name: take
-- Count one more redemption of coupon $1; returns nothing if there are as many as may be.
UPDATE coupons SET redemptions = redemptions + 1
WHERE code = $1 AND (most_redemptions IS NULL OR redemptions < most_redemptions)
RETURNING code

-- name: redeem
-- Give coupon $1 to account $2 at $3 by $4; returns nothing if it had it.
INSERT INTO coupon_redemptions (code, account_id, redeemed_at, actor) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING redemption_id

-- name: end
-- Coupon $1 takes nothing off account $2 from $3 on; returns nothing if it did not before.
UPDATE coupon_redemptions SET ended_at = $3
WHERE code = $1 AND account_id = $2 AND ended_at IS NULL
RETURNING code

-- name: promotions
-- The promotions that hold on day $1 and that account $2 does not have.
SELECT * FROM coupons
WHERE promotion AND withdrawn_at IS NULL
    AND coalesce(valid_from <= $1, true) AND coalesce($1 < valid_until, true)
    AND NOT EXISTS (
        SELECT FROM coupon_redemptions AS had
        WHERE had.code = coupons.code AND had.account_id = $2
    )
ORDER BY code

-- name: redeemed_by
-- What the accounts $1 have redeemed and was not ended, with the cycles in which it took something
-- off.
SELECT account_id, redemption_id, code, terms, description,
    coalesce(array_agg(cycle_starts_on) FILTER (WHERE cycle_starts_on IS NOT NULL), '{}') AS cycles,
    coalesce(array_agg(amount_micros) FILTER (WHERE cycle_starts_on IS NOT NULL), '{}') AS amounts
FROM coupon_redemptions JOIN coupons USING (code) LEFT JOIN coupon_uses USING (redemption_id)
WHERE account_id = ANY($1::text[]) AND ended_at IS NULL
GROUP BY account_id, redemption_id, code, terms, description
ORDER BY account_id, redemption_id

-- name: use
-- In cycles, redemptions took amounts off: $1 redemptions, $2 first days, $3 micros.
INSERT INTO coupon_uses AS before (redemption_id, cycle_starts_on, amount_micros)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[])
ON CONFLICT (redemption_id, cycle_starts_on)
    DO UPDATE SET amount_micros = before.amount_micros + excluded.amount_micros

-- name: use_on_invoices
-- Of that, so much stands on invoices: $1 redemptions, $2 first days, $3 micros, $4 invoices.
INSERT INTO coupon_invoice_uses (redemption_id, cycle_starts_on, amount_micros, invoice_id)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[])
