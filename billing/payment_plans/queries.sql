-- name: open_invoices
-- The open invoices of account $1 with something left on them and no plan for it, earliest due first;
-- only those of $2, if that is not NULL. Held until the transaction ends.
SELECT invoice_id, currency, total_micros - paid_micros - offset_micros - written_off_micros
    AS left_micros
FROM invoices AS invoice
WHERE account_id = $1 AND status = 'open' AND kind = 'invoice' AND ($2::bigint[] IS NULL OR invoice_id = ANY($2))
    AND total_micros - paid_micros - offset_micros - written_off_micros > 0
    AND NOT EXISTS (
        SELECT FROM payment_plan_invoices AS planned
        WHERE planned.invoice_id = invoice.invoice_id AND active
    )
ORDER BY due_on, invoice_id
FOR NO KEY UPDATE

-- name: create
-- A plan of account $1, in currency $2, for a debt of $3, with $4 days of grace, by $5, at $6.
INSERT INTO payment_plans (account_id, currency, debt_micros, grace_days, actor, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING plan_id

-- name: add_installments
-- The instalments of plan $1: numbers $2, days $3, micros $4.
INSERT INTO installments (plan_id, number, due_on, amount_micros)
SELECT $1, i.* FROM unnest($2::smallint[], $3::date[], $4::bigint[]) AS i

-- name: add_invoices
-- What plan $1 is for: invoices $2, with $3 left on them.
INSERT INTO payment_plan_invoices (plan_id, invoice_id, left_micros)
SELECT $1, i.* FROM unnest($2::bigint[], $3::bigint[]) AS i

-- name: get
-- The plan $1, with what is outstanding of it.
SELECT plan.*, (
    SELECT coalesce(sum(total_micros - paid_micros - offset_micros - written_off_micros), 0)
    FROM payment_plan_invoices JOIN invoices USING (invoice_id)
    WHERE payment_plan_invoices.plan_id = plan.plan_id AND invoices.status = 'open'
)::bigint AS outstanding_micros,
    (SELECT array_agg(invoice_id ORDER BY invoice_id) FROM payment_plan_invoices AS p
        WHERE p.plan_id = plan.plan_id) AS invoices
FROM payment_plans AS plan WHERE plan_id = $1

-- name: installments
-- The instalments of plan $1, in order.
SELECT number, due_on, amount_micros FROM installments WHERE plan_id = $1 ORDER BY number

-- name: listed
-- The newest $3 plans before plan $2 (NULL: the newest), of account $1 or of all (NULL).
SELECT plan_id FROM payment_plans
WHERE ($1::text IS NULL OR account_id = $1) AND ($2::bigint IS NULL OR plan_id < $2)
ORDER BY plan_id DESC LIMIT $3

-- name: active
-- The first $2 active plans after plan $1.
SELECT plan_id, account_id FROM payment_plans
WHERE status = 'active' AND plan_id > $1 ORDER BY plan_id LIMIT $2

-- name: active_of
-- The active plans of account $1.
SELECT plan_id FROM payment_plans WHERE status = 'active' AND account_id = $1 ORDER BY plan_id

-- name: end
-- Plan $1 is $2 since $3; what it was for is due by its own dates again.
WITH ended AS (
    UPDATE payment_plans SET status = $2, ended_at = $3 WHERE plan_id = $1 AND status = 'active'
    RETURNING plan_id
)
UPDATE payment_plan_invoices SET active = false WHERE plan_id IN (SELECT plan_id FROM ended)
