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
