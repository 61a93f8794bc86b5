-- Charges ---------------------------------------------------------------------------------------

-- name: cut_off
-- $1, or now if that is earlier.
SELECT least($1::timestamptz, now())

-- name: settled_before
-- Whether a partition could still settle something before $1.
SELECT EXISTS (SELECT FROM settlement_positions WHERE settled_at < $1)

-- name: settle_past
-- From now on nothing is settled before $1.
UPDATE settlement_positions SET settled_at = $1 WHERE settled_at < $1

-- name: range_ends
-- Up to when the charges of the accounts $1 are cut; of those that none was cut of, nothing.
SELECT account_id, max(until) FROM charge_ranges WHERE account_id = ANY($1::text[])
GROUP BY account_id

-- name: settled_by_plan
-- What the accounts $1 were charged from $2 up to $3 (excluded; by position), by plan. The sessions
-- come first because they are indexed by account; one that closed long before cannot have been
-- charged since.
SELECT session.account_id, session.plan, sum(usage.charged_micros)::bigint AS charged_micros,
    count(DISTINCT session.session_uid) AS sessions, sum(usage.seconds)::bigint AS seconds,
    sum(usage.octets_in)::numeric(24) AS octets_in, sum(usage.octets_out)::numeric(24) AS octets_out,
    min(usage.event_at) AS first_on, max(usage.event_at) AS last_on
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS wanted (account_id, since, until)
JOIN accounting_sessions AS session USING (account_id), LATERAL (
    SELECT * FROM usage_records AS usage
    WHERE usage.session_uid = session.session_uid
        AND usage.settled_at >= wanted.since AND usage.settled_at < wanted.until
) AS usage
WHERE session.closed_at IS NULL OR session.closed_at > wanted.since - interval '60 days'
GROUP BY session.account_id, session.plan
ORDER BY session.account_id, session.plan

-- name: posted_usage
-- What settlement posted for the accounts $1 from $2 up to $3 (excluded; by position).
SELECT wanted.account_id, sum(amount_micros)::bigint
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS wanted (account_id, since, until),
    LATERAL (
        SELECT amount_micros, transaction_id FROM ledger_postings AS posting
        WHERE posting.account_id = wanted.account_id
            AND posted_at >= wanted.since AND posted_at < wanted.until
    ) AS posting
JOIN billing_transactions AS entry USING (transaction_id)
WHERE kind = 'usage'
GROUP BY wanted.account_id

-- name: waiting_shares
-- The shares of the accounts $1 that are on no line.
SELECT account_id, until, plan, charged_micros, sessions, seconds, octets_in, octets_out, first_on,
    last_on
FROM charge_shares WHERE account_id = ANY($1::text[]) AND invoice_id IS NULL
ORDER BY account_id, until, plan

-- name: add_ranges
-- Cut the charges of the accounts $1 from $2 up to $3: $4 micros (by position).
INSERT INTO charge_ranges (account_id, since, until, charged_micros)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[])

-- name: take_shares
-- Put what waits of the accounts $1 on the invoices $2: the plans $3 on the lines $4 (by position).
UPDATE charge_shares AS share SET invoice_id = taken.invoice_id, line = taken.line
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::smallint[])
    AS taken (account_id, invoice_id, plan, line)
WHERE share.account_id = taken.account_id AND share.invoice_id IS NULL AND share.plan = taken.plan

-- name: release_shares
-- Let the charges of the invoices $1 wait again.
UPDATE charge_shares SET invoice_id = NULL, line = NULL WHERE invoice_id = ANY($1::bigint[])

-- name: move_shares
-- The charges of invoice $1 stand elsewhere on it: those of the plans $2 on the lines $3.
UPDATE charge_shares AS share SET line = moved.line
FROM unnest($2::text[], $3::smallint[]) AS moved (plan, line)
WHERE share.invoice_id = $1 AND share.plan = moved.plan

-- Drafts ----------------------------------------------------------------------------------------

-- name: accounts
-- What the accounts $1 pay in, and how.
SELECT account_id, currency, payment_mode, payment_days FROM customer_billing_accounts
WHERE account_id = ANY($1::text[])

-- name: reserve_ids
-- Take the ids of $1 invoices that are to be copied in.
SELECT nextval(pg_get_serial_sequence('invoices', 'invoice_id')) FROM generate_series(1, $1::bigint)

-- name: change
-- Make draft $1 what it is to be, at $15.
UPDATE invoices SET language = $2, reference = $3, note = $4, period_from = $5, period_until = $6,
    tax_point = $7, payment_days = $8, tax_rounding = $9, buyer = $10, discount_micros = $11,
    net_micros = $12, tax_micros = $13, total_micros = $14, revision = revision + 1,
    changed_at = $15
WHERE invoice_id = $1

-- name: delete_items
-- Take the lines off the drafts $1.
DELETE FROM invoice_items WHERE invoice_id = ANY($1::bigint[])

-- name: delete
-- Delete draft $1.
DELETE FROM invoices WHERE invoice_id = $1

-- name: accounts_of
-- Whose the invoices $1 are.
SELECT invoice_id, account_id FROM invoices WHERE invoice_id = ANY($1::bigint[])

-- name: hold_accounts
-- Hold the accounts $1, in one order, until the transaction ends.
SELECT account_id, payment_mode FROM customer_billing_accounts
WHERE account_id = ANY($1::text[])
ORDER BY account_id
FOR NO KEY UPDATE

-- name: hold
-- Hold the invoices $1, in one order, until the transaction ends.
SELECT invoice_id FROM invoices WHERE invoice_id = ANY($1::bigint[]) ORDER BY invoice_id
FOR NO KEY UPDATE

-- Finalizing ------------------------------------------------------------------------------------

-- name: credit_of
-- The credit of each of the accounts $1, in micros.
SELECT account_id, -sum(amount_micros)::bigint AS micros
FROM ledger_postings JOIN ledgers USING (ledger)
WHERE account_id = ANY($1::text[]) AND ledgers.name = 'customer_credit'
GROUP BY account_id

-- name: freeze_totals
-- What the drafts $1 come to: discounts $2, net $3, tax $4, tax points $5, sellers $6, buyers $7,
-- ledger transactions $8, at $9.
UPDATE invoices AS invoice
SET discount_micros = frozen.discount, net_micros = frozen.net, tax_micros = frozen.tax,
    total_micros = frozen.net + frozen.tax, tax_point = frozen.day, seller = frozen.seller,
    buyer = frozen.buyer, transaction_id = frozen.entry, changed_at = $9
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::date[], $6::jsonb[],
    $7::jsonb[], $8::bigint[]) AS frozen (id, discount, net, tax, day, seller, buyer, entry)
WHERE invoice.invoice_id = frozen.id

-- name: begin_series
-- There is a series $2 of entity $1 in the year $3; nothing changes if there is.
INSERT INTO number_series (entity, series, year, continues_from, last_number)
VALUES ($1, $2, $3, 0, 0)
ON CONFLICT DO NOTHING

-- name: take_numbers
-- The next numbers of series $2 of entity $1 in year $3 for the drafts $4, of which $5 was paid by
-- credit, with the date $6 (or that of the number before, if later), at $10. A number is written $7,
-- then at least $8 digits, then $9. The last statement before the commit: until then nobody else
-- gets a number of the series, and if there is no commit, it was not taken.
WITH taken AS (
    UPDATE number_series
    SET last_number = last_number + cardinality($4::bigint[]),
        last_on = greatest(last_on, $6::date)
    WHERE entity = $1 AND series = $2 AND year = $3
    RETURNING series, year, last_number - cardinality($4::bigint[]) AS before, last_on
)
UPDATE invoices AS invoice
SET series = taken.series, series_year = taken.year, series_number = before + place,
    number = $7::text
        || lpad((before + place)::text, greatest(length((before + place)::text), $8::integer), '0')
        || $9::text,
    issued_on = last_on, due_on = last_on + payment_days, finalized_at = $10::timestamptz,
    changed_at = $10::timestamptz, paid_micros = paid.micros,
    applied_micros = CASE WHEN kind = 'invoice' THEN paid.micros ELSE 0 END,
    status = CASE WHEN total_micros = paid.micros THEN 'paid' ELSE 'open' END,
    paid_at = CASE WHEN total_micros = paid.micros THEN $10::timestamptz END
FROM taken, unnest($4::bigint[], $5::bigint[]) WITH ORDINALITY AS paid (id, micros, place)
WHERE invoice.invoice_id = paid.id
RETURNING invoice.invoice_id, number, issued_on

-- name: insert_taxes
-- Keep the totals by rate of drafts.
INSERT INTO invoice_taxes (invoice_id, place, tax, jurisdiction, category, ppm, compound, code,
    reason, base_micros, tax_micros)
SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::integer[],
    $7::boolean[], $8::text[], $9::text[], $10::bigint[], $11::bigint[])

-- Numbers ---------------------------------------------------------------------------------------

-- name: continue_series
-- The first number of series $2 of entity $1 in year $3 is the one after $4; nothing if it has begun.
INSERT INTO number_series (entity, series, year, continues_from, last_number)
VALUES ($1, $2, $3, $4, $4)
ON CONFLICT DO NOTHING
RETURNING last_number

-- name: series
-- All series, each with how many documents have its numbers: as many as were taken, or it has a gap.
SELECT entity, series, year, continues_from, last_number, last_on,
    (SELECT count(*) FROM invoices AS invoice
        WHERE invoice.entity = series.entity AND invoice.series = series.series
            AND series_year = year AND series_number BETWEEN continues_from + 1 AND last_number)
        + (SELECT count(*) FROM credit_notes AS note
        WHERE note.entity = series.entity AND series.series = 'credit_note' AND series_year = year
            AND series_number BETWEEN continues_from + 1 AND last_number) AS documents
FROM number_series AS series
ORDER BY entity, series, year

-- What becomes of them --------------------------------------------------------------------------

-- name: set_status
-- Invoice $1 is $2 from $3 on.
UPDATE invoices SET status = $2, changed_at = $3,
    voided_at = CASE WHEN $2 = 'void' THEN $3 ELSE voided_at END,
    uncollectible_at = CASE WHEN $2 = 'uncollectible' THEN $3 ELSE uncollectible_at END,
    paid_micros = CASE WHEN $2 = 'void' THEN 0 ELSE paid_micros END, written_off_micros = $4
WHERE invoice_id = $1

-- name: mark_sent
-- Invoice $1 was sent at $2.
UPDATE invoices SET sent_at = coalesce(sent_at, $2), changed_at = $2 WHERE invoice_id = $1

-- name: postings_of
-- What was posted by transaction $1.
SELECT ledger, account_id, currency, amount_micros FROM ledger_postings WHERE transaction_id = $1
    AND posted_at = (SELECT posted_at FROM billing_transactions WHERE transaction_id = $1)

-- name: settle
-- Of invoice $1, $2 more is paid, $3 more credited, $4 more of that offset, $5 more written off; at
-- $6. Less, where negative.
UPDATE invoices
SET paid_micros = paid_micros + $2, credited_micros = credited_micros + $3,
    offset_micros = offset_micros + $4, written_off_micros = written_off_micros + $5,
    status = CASE
        WHEN status IN ('open', 'uncollectible')
            AND paid_micros + $2 + offset_micros + $4 = total_micros THEN 'paid'
        WHEN status = 'paid' AND paid_micros + $2 + offset_micros + $4 < total_micros THEN 'open'
        ELSE status END,
    paid_at = CASE WHEN paid_micros + $2 + offset_micros + $4 = total_micros
        THEN coalesce(paid_at, $6) END,
    changed_at = $6
WHERE invoice_id = $1
RETURNING status, total_micros - paid_micros - offset_micros AS left_micros

-- name: due_first
-- What is open of account $1, the earliest due first, held until the transaction ends.
SELECT invoice_id, number, total_micros - paid_micros - offset_micros AS left_micros
FROM invoices
WHERE account_id = $1 AND status = 'open' AND kind = 'invoice'
ORDER BY due_on, invoice_id
FOR NO KEY UPDATE

-- Reading ---------------------------------------------------------------------------------------

-- name: get
-- The invoices $1.
SELECT * FROM invoices WHERE invoice_id = ANY($1::bigint[]) ORDER BY invoice_id

-- name: by_number
-- The documents with number $1, of all entities.
SELECT invoice_id FROM invoices WHERE number = $1 ORDER BY invoice_id

-- name: items
-- The lines of the invoices $1.
SELECT * FROM invoice_items WHERE invoice_id = ANY($1::bigint[]) ORDER BY invoice_id, line

-- name: taxes
-- The totals by tax rate of the invoices $1.
SELECT * FROM invoice_taxes WHERE invoice_id = ANY($1::bigint[]) ORDER BY invoice_id, place

-- name: search
-- The newest $1 invoices, as far as each of the rest is given: account $2, status $3, kind $4, number
-- beginning with $5, issued from $6 and up to $7, total from $8 and up to $9, overdue on $10, with a
-- part paid ($11), before id $12.
SELECT invoice_id, kind, status, account_id, currency, number, issued_on, due_on, total_micros,
    paid_micros, credited_micros, offset_micros, sent_at, created_at,
    coalesce(buyer ->> 'name', '') AS buyer
FROM invoices
WHERE ($12::bigint IS NULL OR invoice_id < $12)
    AND ($2::text IS NULL OR account_id = $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR kind = $4)
    AND ($5::text IS NULL OR number >= $5 AND number < $5 || chr(1114111))
    AND ($6::date IS NULL OR issued_on >= $6)
    AND ($7::date IS NULL OR issued_on <= $7)
    AND ($8::bigint IS NULL OR total_micros >= $8)
    AND ($9::bigint IS NULL OR total_micros <= $9)
    AND ($10::date IS NULL OR (status = 'open' AND due_on < $10))
    AND ($11::boolean IS NULL
        OR (status = 'open' AND paid_micros + offset_micros > 0) = $11)
ORDER BY invoice_id DESC
LIMIT $1

-- name: search_due
-- As `search` of open invoices, the soonest due first, after id $12 of the day $13.
SELECT invoice_id, kind, status, account_id, currency, number, issued_on, due_on, total_micros,
    paid_micros, credited_micros, offset_micros, sent_at, created_at,
    coalesce(buyer ->> 'name', '') AS buyer
FROM invoices
WHERE status = 'open' AND ($13::date IS NULL OR (due_on, invoice_id) > ($13, $12::bigint))
    AND ($2::text IS NULL OR account_id = $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR kind = $4)
    AND ($5::text IS NULL OR number >= $5 AND number < $5 || chr(1114111))
    AND ($6::date IS NULL OR issued_on >= $6)
    AND ($7::date IS NULL OR issued_on <= $7)
    AND ($8::bigint IS NULL OR total_micros >= $8)
    AND ($9::bigint IS NULL OR total_micros <= $9)
    AND ($10::date IS NULL OR (status = 'open' AND due_on < $10))
    AND ($11::boolean IS NULL
        OR (status = 'open' AND paid_micros + offset_micros > 0) = $11)
ORDER BY due_on, invoice_id
LIMIT $1

-- name: tax_report
-- Base and tax by rate of the tax documents of entity $1 issued from $2 up to $3 (included), void
-- ones left out, less what was credited of them and of others in that time, by what is not void.
SELECT currency, tax, jurisdiction, category, ppm, code,
    sum(base)::bigint AS base_micros, sum(amount)::bigint AS tax_micros
FROM (
    SELECT currency, tax, jurisdiction, category, ppm, code, base_micros AS base,
        taxes.tax_micros AS amount
    FROM invoices JOIN invoice_taxes AS taxes USING (invoice_id)
    WHERE entity = $1 AND issued_on BETWEEN $2 AND $3 AND kind NOT IN ('proforma', 'statement')
        AND status NOT IN ('draft', 'void')
    UNION ALL
    SELECT currency, tax, jurisdiction, category, ppm, code, -base_micros, -taxes.tax_micros
    FROM credit_notes JOIN credit_note_taxes AS taxes USING (credit_note_id)
    WHERE entity = $1 AND issued_on BETWEEN $2 AND $3 AND NOT EXISTS (
        SELECT FROM credit_note_voids AS void
        WHERE void.credit_note_id = credit_notes.credit_note_id)
) AS documents
GROUP BY currency, tax, jurisdiction, category, ppm, code
ORDER BY currency, jurisdiction, category, tax, ppm

-- name: plan_categories
-- What usage under the plans $1 is taxed as, where an offer says so: the newest one that does.
SELECT DISTINCT ON (definition ->> 'plan') definition ->> 'plan' AS plan,
    definition ->> 'usage_tax_category' AS category
FROM offers
WHERE definition ->> 'plan' = ANY($1::text[]) AND definition ->> 'usage_tax_category' <> ''
ORDER BY definition ->> 'plan', created_at DESC, version DESC

-- name: buyers
-- What is known of the customers of the accounts $1.
SELECT account_id, account.language, details
FROM customer_billing_accounts AS account LEFT JOIN customer_details USING (customer_id)
WHERE account_id = ANY($1::text[])
