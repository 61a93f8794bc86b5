-- name: credited
-- What was credited of invoice $1: a row for each line of its credit notes that are not void.
SELECT invoice_line, net_micros, taxes FROM credit_note_items AS item
WHERE invoice_id = $1 AND NOT EXISTS (
    SELECT FROM credit_note_voids AS void WHERE void.credit_note_id = item.credit_note_id
)

-- name: reserve_id
-- The id of a credit note that is to be written.
SELECT nextval(pg_get_serial_sequence('credit_notes', 'credit_note_id'))

-- name: begin_series
-- There is a series of credit notes of entity $1 in the year $2; nothing changes if there is.
INSERT INTO number_series (entity, series, year, continues_from, last_number)
VALUES ($1, 'credit_note', $2, 0, 0)
ON CONFLICT DO NOTHING

-- name: add_taxes
-- The totals by rate of credit note $1.
INSERT INTO credit_note_taxes (credit_note_id, place, tax, jurisdiction, category, ppm, compound,
    code, reason, base_micros, tax_micros)
SELECT $1, totals.* FROM unnest($2::smallint[], $3::text[], $4::text[], $5::text[], $6::integer[],
    $7::boolean[], $8::text[], $9::text[], $10::bigint[], $11::bigint[]) AS totals

-- name: issue
-- Take the next number of entity $2 in year $3 with the date $4 (or that of the number before, if
-- later) for credit note $1: of invoice $5, account $6, in $7, language $8, for the reason $9, over
-- net $10 and tax $11, offset $12, credit $13 and refund $14, seller $15, buyer $16, booked as $17 at
-- $18. A number is written $19, then at least $20 digits, then $21. The last statement before the
-- commit.
WITH taken AS (
    UPDATE number_series SET last_number = last_number + 1, last_on = greatest(last_on, $4::date)
    WHERE entity = $2 AND series = 'credit_note' AND year = $3
    RETURNING last_number AS number, last_on
)
INSERT INTO credit_notes (credit_note_id, entity, series_year, issued_on, series_number, invoice_id,
    account_id, currency, language, reason, net_micros, tax_micros, total_micros, offset_micros,
    credit_micros, refund_micros, seller, buyer, transaction_id, created_at, number)
OVERRIDING SYSTEM VALUE
SELECT $1::bigint, $2, $3::smallint, last_on, taken.number, $5::bigint, $6, $7, $8, $9, $10::bigint,
    $11::bigint, $10::bigint + $11::bigint, $12::bigint, $13::bigint, $14::bigint, $15::jsonb,
    $16::jsonb, $17::bigint, $18::timestamptz, $19::text
        || lpad(taken.number::text, greatest(length(taken.number::text), $20::integer), '0')
        || $21::text
FROM taken
RETURNING number

-- name: get
-- Credit note $1, with what it is of, and when it was voided.
SELECT note.*, invoice.number AS invoice_number, invoice.issued_on AS invoice_issued_on,
    void.voided_at AS note_voided_at
FROM credit_notes AS note JOIN invoices AS invoice USING (invoice_id)
LEFT JOIN credit_note_voids AS void USING (credit_note_id)
WHERE credit_note_id = $1

-- name: by_number
-- The credit notes with number $1, of all entities.
SELECT credit_note_id FROM credit_notes WHERE number = $1 ORDER BY credit_note_id

-- name: items
-- The lines of credit note $1.
SELECT line, invoice_line, description, net_micros, tax_micros, taxes FROM credit_note_items
WHERE credit_note_id = $1 ORDER BY line

-- name: taxes
-- The totals by rate of credit note $1.
SELECT * FROM credit_note_taxes WHERE credit_note_id = $1 ORDER BY place

-- name: list
-- The newest $1 credit notes before id $2, of account $3 and invoice $4 as far as those are given.
SELECT credit_note_id, invoice_id, account_id, currency, number, issued_on, total_micros,
    offset_micros, credit_micros, refund_micros, credit_notes.reason, voided_at
FROM credit_notes LEFT JOIN credit_note_voids USING (credit_note_id)
WHERE ($2::bigint IS NULL OR credit_note_id < $2) AND ($3::text IS NULL OR account_id = $3)
    AND ($4::bigint IS NULL OR invoice_id = $4)
ORDER BY credit_note_id DESC
LIMIT $1

-- name: of_a_run
-- Whether credit note $1 was issued by a billing run.
SELECT entry.actor = 'billing' FROM credit_notes JOIN billing_transactions AS entry
    USING (transaction_id)
WHERE credit_note_id = $1

-- name: void
-- Credit note $1 is void for the reason $2, by $3, booked as $4 at $5.
INSERT INTO credit_note_voids (credit_note_id, reason, actor, transaction_id, voided_at)
VALUES ($1, $2, $3, $4, $5)
