-- name: hold_campaigns
-- Keep others from changing campaigns until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('ratewire.dunning_campaigns', 0))

-- name: newest
-- The newest version of campaign $1.
SELECT name, version, definition FROM dunning_campaigns
WHERE name = $1 ORDER BY version DESC LIMIT 1

-- name: version
-- Version $2 of campaign $1.
SELECT name, version, definition FROM dunning_campaigns WHERE name = $1 AND version = $2

-- name: add_version
-- Keep version $2 of campaign $1, defined as $3, from $4 on.
INSERT INTO dunning_campaigns (name, version, definition, created_at) VALUES ($1, $2, $3, $4)

-- name: campaigns
-- The newest version of each campaign, by name, and whether it is the default.
SELECT DISTINCT ON (name) name, version, definition,
    name IN (SELECT campaign FROM dunning_default) AS is_default
FROM dunning_campaigns ORDER BY name, version DESC

-- name: set_default
-- Accounts without a campaign of their own are under $1.
INSERT INTO dunning_default (campaign) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET campaign = excluded.campaign

-- name: set_account
-- Account $1 is under campaign $2 (NULL: the default), or excluded ($3), for the reason $4.
INSERT INTO dunning_accounts (account_id, campaign, excluded, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id) DO UPDATE
SET campaign = excluded.campaign, excluded = excluded.excluded, reason = excluded.reason

-- name: account
-- How account $1 is dunned: the campaign that holds for it, or none, and whether it is excluded.
SELECT coalesce(own.campaign, (SELECT campaign FROM dunning_default)) AS campaign,
    own.campaign AS own_campaign, dunning_excluded OR coalesce(excluded, false) AS excluded,
    coalesce(reason, '') AS reason
FROM customer_billing_accounts LEFT JOIN dunning_accounts AS own USING (account_id)
WHERE account_id = $1

-- name: debt
-- What account $1 owes on day $2 of what was due before it, and since when the oldest; what a
-- payment plan is for is not due by its own date.
SELECT min(due_on) AS oldest_due,
    coalesce(sum(total_micros - paid_micros - offset_micros - written_off_micros), 0)::bigint
        AS overdue_micros
FROM invoices AS invoice
WHERE account_id = $1 AND status = 'open' AND kind = 'invoice' AND due_on < $2
    AND total_micros - paid_micros - offset_micros - written_off_micros > 0
    AND NOT EXISTS (
        SELECT FROM payment_plan_invoices AS planned
        WHERE planned.invoice_id = invoice.invoice_id AND active
    )

-- name: overdue
-- What account $1 owes on day $2 of what was due before it, as in debt: the invoices, oldest first.
SELECT invoice_id FROM invoices AS invoice
WHERE account_id = $1 AND status = 'open' AND due_on < $2
    AND total_micros - paid_micros - offset_micros - written_off_micros > 0
    AND NOT EXISTS (
        SELECT FROM payment_plan_invoices AS planned
        WHERE planned.invoice_id = invoice.invoice_id AND active
    )
ORDER BY due_on, invoice_id

-- name: process
-- The dunning process of account $1 that has not ended.
SELECT * FROM dunning_processes WHERE account_id = $1 AND ended_at IS NULL

-- name: steps
-- The steps of process $1, in the order in which they were taken.
SELECT since, step, action, taken_on, taken_at, skipped, holds, invoice_id
FROM dunning_steps WHERE process_id = $1 ORDER BY taken_at, since, step

-- name: open
-- Begin a process of account $1 under campaign $2, version $3, in currency $4, for a debt due since
-- $5 of $6 micros, at $7; returns its id.
INSERT INTO dunning_processes
    (account_id, campaign, campaign_version, currency, since, overdue_micros, opened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING process_id

-- name: go_on
-- Process $1 is for a debt since $2 of $3 micros; it is looked at again on $4.
UPDATE dunning_processes SET since = $2, overdue_micros = $3, next_on = $4 WHERE process_id = $1

-- name: end
-- Process $1 ended at $2, so: $3, with $4 micros overdue.
UPDATE dunning_processes
SET ended_at = $2, ending = $3, next_on = NULL, overdue_micros = $4
WHERE process_id = $1

-- name: take
-- Process $1 took step $3 for the debt since $2: action, day, moment, skipped, invoice. Again, where
-- that debt was paid and came back.
INSERT INTO dunning_steps
    (process_id, since, step, action, taken_on, taken_at, skipped, holds, invoice_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, true, $8)
ON CONFLICT (process_id, since, step) DO UPDATE
SET taken_on = excluded.taken_on, taken_at = excluded.taken_at, holds = true,
    skipped = dunning_steps.skipped AND excluded.skipped,
    invoice_id = coalesce(excluded.invoice_id, dunning_steps.invoice_id)
WHERE NOT dunning_steps.holds

-- name: keep
-- Of the steps of process $1 only those of $2 hold.
UPDATE dunning_steps SET holds = false
WHERE process_id = $1 AND holds AND step <> ALL($2::smallint[])

-- name: promise
-- The account of process $1 has promised to pay until $2, said as $3.
UPDATE dunning_processes SET promised_until = $2, promise = $3 WHERE process_id = $1

-- name: to_look_at
-- The first $3 accounts after account $2 that have a debt which is overdue at $1 in their zone, or a
-- process that has not ended.
SELECT account_id FROM (
    SELECT account_id FROM dunning_processes WHERE ended_at IS NULL
    UNION
    SELECT invoice.account_id
    FROM invoices AS invoice JOIN customer_billing_accounts AS account USING (account_id)
    WHERE invoice.status = 'open' AND invoice.kind = 'invoice'
        AND due_on < ($1::timestamptz AT TIME ZONE account.time_zone)::date
) AS candidates
WHERE account_id > $2
ORDER BY account_id
LIMIT $3

-- name: listed
-- The newest $3 processes before process $2 (NULL: the newest), of account $1 or of all (NULL), those
-- that have not ended only if $4.
SELECT process_id, account_id, campaign, campaign_version, currency, since, overdue_micros,
    promised_until, promise, next_on, opened_at, ended_at, ending
FROM dunning_processes
WHERE ($1::text IS NULL OR account_id = $1) AND ($2::bigint IS NULL OR process_id < $2)
    AND (NOT $4 OR ended_at IS NULL)
ORDER BY process_id DESC
LIMIT $3

-- name: services_of
-- The services of account $1 that are not cancelled.
SELECT service_id FROM services WHERE account_id = $1 AND cancelled_on IS NULL ORDER BY service_id
