-- name: zone
-- The time zone of account $1.
SELECT time_zone FROM customer_billing_accounts WHERE account_id = $1

-- name: schedule
-- How account $1 is billed.
SELECT schedule.*, time_zone
FROM billing_schedules AS schedule JOIN customer_billing_accounts USING (account_id)
WHERE account_id = $1

-- name: set_schedule
-- Account $1 is billed by the calendar $2 with alignment $3, its drafts are reviewed for $4 days, or
-- until they are approved ($5).
INSERT INTO billing_schedules (account_id, calendar, alignment, review_days, needs_approval)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id) DO UPDATE SET calendar = excluded.calendar,
    alignment = excluded.alignment, review_days = excluded.review_days,
    needs_approval = excluded.needs_approval

-- name: set_calendar
-- Account $1 is billed by the calendar $2.
UPDATE billing_schedules SET calendar = $2 WHERE account_id = $1

-- name: note_change
-- The services of account $1 are not as they were billed, from $2 on.
UPDATE billing_schedules SET changed_since = least(changed_since, $2) WHERE account_id = $1

-- name: set_next
-- The next bill of account $1 is due on $2, which begins at $3; NULL: there is nothing to bill.
UPDATE billing_schedules SET next_bill_on = $2, next_bill_at = $3 WHERE account_id = $1

-- name: hold_due
-- Take up to $3 accounts whose bill is due at $1, of those after account $2, that nobody else has
-- taken and that are not parked; nobody changes them until this transaction ends.
SELECT account.account_id, account.currency, account.payment_mode, account.status,
    account.time_zone, schedule.calendar, schedule.billed_until, schedule.changed_since,
    schedule.next_bill_on, schedule.review_days, schedule.needs_approval
FROM billing_schedules AS schedule JOIN customer_billing_accounts AS account USING (account_id)
WHERE schedule.next_bill_at <= $1 AND schedule.account_id > $2
    AND NOT EXISTS (
        SELECT FROM account_parkings AS parked
        WHERE parked.account_id = schedule.account_id AND released_at IS NULL
    )
ORDER BY schedule.account_id
LIMIT $3
FOR NO KEY UPDATE OF account, schedule SKIP LOCKED

-- name: wait_for_due
-- Take up to $3 accounts as hold_due does, waiting for those that somebody else has taken: those that
-- are not due any more once they are free are left out.
SELECT account.account_id, account.currency, account.payment_mode, account.status,
    account.time_zone, schedule.calendar, schedule.billed_until, schedule.changed_since,
    schedule.next_bill_on, schedule.review_days, schedule.needs_approval
FROM billing_schedules AS schedule JOIN customer_billing_accounts AS account USING (account_id)
WHERE schedule.next_bill_at <= $1 AND schedule.account_id > $2
    AND NOT EXISTS (
        SELECT FROM account_parkings AS parked
        WHERE parked.account_id = schedule.account_id AND released_at IS NULL
    )
ORDER BY schedule.account_id
LIMIT $3
FOR NO KEY UPDATE OF account, schedule

-- name: hold_one
-- Take the account $1, waiting for it; with its schedule, if it has one.
SELECT account.account_id, account.currency, account.payment_mode, account.status,
    account.time_zone, schedule.calendar, schedule.billed_until, schedule.changed_since,
    schedule.next_bill_on, schedule.review_days, schedule.needs_approval
FROM customer_billing_accounts AS account JOIN billing_schedules AS schedule USING (account_id)
WHERE account.account_id = $1
FOR NO KEY UPDATE OF account, schedule

-- name: count_due
-- How many accounts are due at $1.
SELECT count(*) FROM billing_schedules AS schedule
WHERE next_bill_at <= $1 AND NOT EXISTS (
    SELECT FROM account_parkings AS parked
    WHERE parked.account_id = schedule.account_id AND released_at IS NULL
)

-- name: services_of
-- The services of the accounts $1 that may still have something to be billed or credited, with
-- their terms in order: those that were cancelled before the last bill ($2, by position) are done.
SELECT service.account_id, service.service_id, service.username,
    array_agg(starts_on ORDER BY starts_on) AS starts_on,
    array_agg(ends_on ORDER BY starts_on) AS ends_on,
    array_agg(offer ORDER BY starts_on) AS offers,
    array_agg(offer_version ORDER BY starts_on) AS versions,
    array_agg(term.quantity ORDER BY starts_on) AS quantities
FROM unnest($1::text[], $2::date[]) AS wanted (account_id, since)
JOIN services AS service USING (account_id)
JOIN service_terms AS term USING (service_id)
WHERE cancelled_on IS NULL OR cancelled_on >= since
GROUP BY service.account_id, service.service_id, service.username
ORDER BY service.account_id, service.service_id

-- name: gone_services
-- The services of the accounts $1 that were cancelled before they began, since the last bill ($2):
-- what was billed for them is given back.
SELECT service.account_id, service_id
FROM unnest($1::text[], $2::date[]) AS wanted (account_id, since)
JOIN services AS service USING (account_id)
WHERE cancelled_on >= since
    AND NOT EXISTS (SELECT FROM service_terms AS term WHERE term.service_id = service.service_id)

-- name: billed_for
-- What was billed for the services $1 and still holds, for days after those in $2 (by position);
-- with what of it was credited.
SELECT item.item_id, item.service_id, item.charge, item.kind, item.offer, item.description,
    item.tax_category, item.rate, item.invoice_id, item.invoice_line,
    array_agg(lower(days) ORDER BY days) AS starts_on,
    array_agg(upper(days) ORDER BY days) AS ends_on,
    item.amount_micros + coalesce(max(credited.amount_micros), 0)::bigint AS left_micros,
    item.discount_micros + coalesce(max(credited.discount_micros), 0)::bigint AS discount_left
FROM unnest($1::bigint[], $2::date[]) AS wanted (service_id, since)
JOIN service_charges USING (service_id)
JOIN billed_days AS billed USING (charge_id)
JOIN billed_items AS item USING (item_id)
LEFT JOIN LATERAL (
    SELECT sum(amount_micros) AS amount_micros, sum(discount_micros) AS discount_micros
    FROM billed_items AS credit WHERE credit.credits_item = item.item_id
) AS credited ON true
WHERE upper(days) > since OR item.kind = 'one-off'
GROUP BY item.item_id
ORDER BY item.item_id

-- name: usage_of
-- What the usage of the user names $2 of the accounts $1 was charged, settled from $3 on, before $4
-- (by position, and in that order).
SELECT coalesce(used.micros, 0)::bigint AS charged_micros
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY
    AS wanted (account_id, username, since, until, place), LATERAL (
    SELECT sum(usage.charged_micros) AS micros
    FROM accounting_sessions AS session JOIN usage_records AS usage USING (session_uid)
    WHERE session.account_id = wanted.account_id AND session.username = wanted.username
        AND usage.settled_at >= wanted.since AND usage.settled_at < wanted.until
) AS used
ORDER BY place

-- name: reserve_items
-- Take the ids of $1 items that are to be copied in.
SELECT nextval(pg_get_serial_sequence('billed_items', 'item_id')) FROM generate_series(1, $1::bigint)

-- name: charge_ids
-- The ids of charges, made where there are none yet: $1 services, $2 codes, by position.
WITH wanted AS (
    SELECT DISTINCT * FROM unnest($1::bigint[], $2::text[]) AS w (service_id, charge)
), made AS (
    INSERT INTO service_charges (service_id, charge)
    SELECT * FROM wanted
    WHERE NOT EXISTS (
        SELECT FROM service_charges AS known
        WHERE (known.service_id, known.charge) = (wanted.service_id, wanted.charge)
    )
    RETURNING charge_id, service_id, charge
)
SELECT charge_id, service_id, charge FROM made
UNION ALL
SELECT charge_id, service_id, charge FROM service_charges JOIN wanted USING (service_id, charge)

-- name: drop_days
-- What the items $1 are for is written anew.
DELETE FROM billed_days WHERE item_id = ANY($1::bigint[])

-- name: add_days
-- The items $1 are, for the charges $2, for the days from $3 on, before $4 (by position).
INSERT INTO billed_days (item_id, charge_id, days)
SELECT item_id, charge_id, daterange(starts_on, ends_on)
FROM unnest($1::bigint[], $2::bigint[], $3::date[], $4::date[])
    AS d (item_id, charge_id, starts_on, ends_on)

-- name: advance
-- Accounts $1 are billed until $2; their next bills are due on $3, which begin at $4 (by position).
UPDATE billing_schedules AS schedule
SET billed_until = greatest(schedule.billed_until, done.until), changed_since = NULL,
    next_bill_on = done.next_on, next_bill_at = done.next_at
FROM unnest($1::text[], $2::date[], $3::date[], $4::timestamptz[])
    AS done (account_id, until, next_on, next_at)
WHERE schedule.account_id = done.account_id

-- name: begin_run
-- A run of what is due at $1, of account $2 or of all if NULL, by $3, begun at $4, with $5 accounts
-- due; returns its id.
INSERT INTO billing_runs (at, account_id, actor, began_at, accounts_due)
VALUES ($1, $2, $3, $4, $5)
RETURNING run_id

-- name: open_run
-- The oldest run of all accounts that has not ended.
SELECT run_id, at FROM billing_runs WHERE ended_at IS NULL AND account_id IS NULL
ORDER BY run_id LIMIT 1

-- name: end_run
-- Run $1 ended at $2.
UPDATE billing_runs SET ended_at = $2 WHERE run_id = $1 AND ended_at IS NULL

-- name: run
-- Run $1, with what came of it so far.
SELECT run.*,
    (SELECT count(*) FROM billing_run_outcomes AS o WHERE o.run_id = run.run_id) AS bills,
    (SELECT count(*) FROM billing_run_outcomes AS o
        WHERE o.run_id = run.run_id AND outcome = 'billed') AS billed,
    (SELECT count(*) FROM billing_run_outcomes AS o
        WHERE o.run_id = run.run_id AND outcome = 'parked') AS parked,
    (SELECT coalesce(jsonb_object_agg(currency, micros), '{}') FROM (
        SELECT currency, sum(amount_micros) AS micros FROM billing_run_outcomes AS o
        WHERE o.run_id = run.run_id AND outcome = 'billed' GROUP BY currency) AS s) AS amounts
FROM billing_runs AS run WHERE run_id = $1

-- name: runs
-- The newest $2 runs before run $1 (NULL: the newest).
SELECT run_id FROM billing_runs WHERE $1::bigint IS NULL OR run_id < $1
ORDER BY run_id DESC LIMIT $2

-- name: outcomes
-- What run $1 did: the first $3 outcomes after outcome $2.
SELECT outcome_id, account_id, bill_on, outcome, currency, items, amount_micros, invoice_id, detail
FROM billing_run_outcomes
WHERE run_id = $1 AND outcome_id > $2
ORDER BY outcome_id
LIMIT $3

-- name: park
-- Park account $1 for the reason $2, found by run $3, at $4; returns nothing if it is parked.
INSERT INTO account_parkings (account_id, reason, run_id, parked_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING parking_id

-- name: release
-- Account $1 is billed again, from $2 on, by $3, with a note $4; returns nothing if it is not parked.
UPDATE account_parkings SET released_at = $2, released_by = $3, note = $4
WHERE account_id = $1 AND released_at IS NULL
RETURNING parking_id

-- name: release_all
-- All parked accounts are billed again, from $1 on, by $2, with a note $3.
UPDATE account_parkings SET released_at = $1, released_by = $2, note = $3
WHERE released_at IS NULL
RETURNING account_id

-- name: parked
-- The first $2 parked accounts after account $1.
SELECT account_id, reason, run_id, parked_at FROM account_parkings
WHERE released_at IS NULL AND account_id > $1
ORDER BY account_id LIMIT $2

-- name: parked_of
-- Which of the accounts $1 are parked.
SELECT account_id FROM account_parkings
WHERE account_id = ANY($1::text[]) AND released_at IS NULL

-- name: is_parked
-- Whether account $1 is parked.
SELECT EXISTS (SELECT FROM account_parkings WHERE account_id = $1 AND released_at IS NULL)

-- name: look_at_one
-- The account $1 with its schedule, if it has one; nobody is kept from changing them.
SELECT account.account_id, account.currency, account.payment_mode, account.status,
    account.time_zone, schedule.calendar, schedule.billed_until, schedule.changed_since,
    schedule.next_bill_on, schedule.review_days, schedule.needs_approval
FROM customer_billing_accounts AS account JOIN billing_schedules AS schedule USING (account_id)
WHERE account.account_id = $1

-- name: is_due
-- Whether an account is due at $1, or a run of all accounts has not ended.
SELECT EXISTS (
    SELECT FROM billing_schedules AS schedule
    WHERE next_bill_at <= $1 AND NOT EXISTS (
        SELECT FROM account_parkings AS parked
        WHERE parked.account_id = schedule.account_id AND released_at IS NULL
    )
) OR EXISTS (SELECT FROM billing_runs WHERE ended_at IS NULL AND account_id IS NULL)

-- name: hold_runs
-- Keep others from beginning a run until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('ratewire.billing_runs', 0))

-- name: note_parked
-- Run $1 has parked account $2, whose bill was due on $3, in currency $4, for the reason $5.
INSERT INTO billing_run_outcomes
    (run_id, account_id, bill_on, outcome, currency, items, amount_micros, detail)
VALUES ($1, $2, $3, 'parked', $4, 0, 0, $5)

-- name: reviewed
-- The first $3 drafts after $2 whose review has ended at $1.
SELECT invoice_id FROM draft_reviews
WHERE finalize_at <= $1 AND invoice_id > $2
ORDER BY invoice_id
LIMIT $3
FOR UPDATE SKIP LOCKED

-- name: drop_reviews
-- The drafts $1 are finalized.
DELETE FROM draft_reviews WHERE invoice_id = ANY($1::bigint[])

-- name: note_refusals
-- The drafts $1 cannot be finalized, for the reasons $2 (by position); it is tried again.
UPDATE draft_reviews AS review SET refusal = refused.reason
FROM unnest($1::bigint[], $2::text[]) AS refused (invoice_id, reason)
WHERE review.invoice_id = refused.invoice_id

-- name: approve
-- The drafts of run $1 are finalized now, at $2, as $3 has approved.
WITH run AS (
    UPDATE billing_runs SET approved_at = coalesce(approved_at, $2),
        approved_by = coalesce(approved_by, $3)
    WHERE run_id = $1
    RETURNING run_id
)
UPDATE draft_reviews SET finalize_at = $2 WHERE run_id IN (SELECT run_id FROM run)

-- name: topups
-- The first $2 top-ups after transaction $1 that have no document yet, held until this transaction
-- ends.
SELECT transaction_id, account_id, amount_micros, received_at, language
FROM topup_documents AS topup JOIN customer_billing_accounts AS account USING (account_id)
WHERE invoice_id IS NULL AND transaction_id > $1
ORDER BY transaction_id
LIMIT $2
FOR NO KEY UPDATE OF topup SKIP LOCKED

-- name: keep_topups
-- The top-ups by the transactions $1 have the documents $2 (by position).
UPDATE topup_documents AS topup SET invoice_id = made.invoice_id, refusal = NULL
FROM unnest($1::bigint[], $2::bigint[]) AS made (transaction_id, invoice_id)
WHERE topup.transaction_id = made.transaction_id

-- name: refuse_topup
-- The document of the top-up by transaction $1 cannot be made, because of $2.
UPDATE topup_documents SET refusal = $2 WHERE transaction_id = $1
