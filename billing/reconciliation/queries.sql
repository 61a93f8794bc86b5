-- Files -----------------------------------------------------------------------------------------

-- name: add_file
-- A file: $1 its digest, $2 format, $3 name, $4 content, $5 actor, $6 at. Nothing if it is there.
INSERT INTO bank_files (digest, format, name, content, actor, imported_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (digest) DO NOTHING
RETURNING file_id

-- name: add_lines
-- Lines of file $1, each as its fields: $2 places, $3 identities, $4 days, $5 micros, $6 currencies,
-- $7 payers, $8 their accounts, $9 references, $10 texts, $11 states, $12 reasons. A line that
-- stands in another file already is a duplicate.
INSERT INTO bank_lines (file_id, line, place, identity, booked_on, amount_micros, currency, payer,
    payer_account, reference, text, state, reason)
SELECT $1, new.line, new.place, new.identity, new.booked_on, new.amount_micros, new.currency,
    new.payer, new.payer_account, new.reference, new.text,
    CASE WHEN known.line_id IS NULL OR new.state = 'pending' THEN new.state ELSE 'duplicate' END,
    CASE WHEN known.line_id IS NULL OR new.state = 'pending' THEN new.reason
        ELSE 'it is line ' || known.line_id || ', of file ' || known.file_id END
FROM unnest($2::text[], $3::bytea[], $4::date[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[])
    WITH ORDINALITY AS new (place, identity, booked_on, amount_micros, currency, payer,
        payer_account, reference, text, state, reason, line)
LEFT JOIN bank_lines AS known
    ON known.identity = new.identity AND known.state NOT IN ('pending', 'duplicate')
ORDER BY new.line

-- name: one_import
-- Two imports at once would not see each other's lines.
SELECT pg_advisory_xact_lock(hashtext('bank_files'))

-- name: file_by_digest
-- The file with digest $1.
SELECT file_id FROM bank_files WHERE digest = $1

-- name: files
-- The $2 files before file $1 (NULL: the newest), newest first, with their lines by state; with $3
-- only that file.
SELECT file_id, format, name, digest, octet_length(content) AS octets, actor, imported_at,
    coalesce(lines.by_state, '{}'::jsonb) AS by_state
FROM bank_files
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(state, count) AS by_state
    FROM (SELECT state, count(*) FROM bank_lines
        WHERE bank_lines.file_id = bank_files.file_id GROUP BY state) AS each
) AS lines ON true
WHERE ($1::bigint IS NULL OR file_id < $1) AND ($3::bigint IS NULL OR file_id = $3)
ORDER BY file_id DESC LIMIT $2

-- name: content
-- File $1 as it came.
SELECT name, content FROM bank_files WHERE file_id = $1

-- Lines -----------------------------------------------------------------------------------------

-- name: lines
-- The $4 lines after line $1 (NULL: the first), of file $2 and in state $3 (NULL: any of each).
SELECT * FROM bank_lines
WHERE line_id > coalesce($1, 0) AND ($2::bigint IS NULL OR file_id = $2)
    AND ($3::text IS NULL OR state = $3)
ORDER BY line_id LIMIT $4

-- name: line
-- Line $1.
SELECT * FROM bank_lines WHERE line_id = $1

-- name: lock_line
-- Line $1, kept from changing until the transaction ends.
SELECT * FROM bank_lines WHERE line_id = $1 FOR NO KEY UPDATE

-- name: undecided
-- The $3 lines of file $1 (NULL: of all) after line $2 that bring money and are not paired.
SELECT * FROM bank_lines
WHERE ($1::bigint IS NULL OR file_id = $1) AND line_id > $2 AND amount_micros > 0
    AND state IN ('new', 'error')
ORDER BY line_id LIMIT $3

-- name: lock_undecided
-- As `undecided`, kept from changing until the transaction ends.
SELECT * FROM bank_lines
WHERE ($1::bigint IS NULL OR file_id = $1) AND line_id > $2 AND amount_micros > 0
    AND state IN ('new', 'error')
ORDER BY line_id LIMIT $3
FOR NO KEY UPDATE

-- name: paired
-- Line $1 is payment $2 of account $3, for reason $4 and by score $5 (NULL: by hand); $6 by, $7 at.
UPDATE bank_lines
SET state = 'paired', payment_id = $2, account_id = $3, reason = $4, score = $5, decided_by = $6,
    decided_at = $7, pairings = pairings + 1
WHERE line_id = $1

-- name: decided
-- Line $1 is in state $2 for reason $3, and no payment; $4 by, $5 at. If it was a duplicate, it is
-- money of its own from now on.
UPDATE bank_lines
SET state = $2, reason = $3, payment_id = NULL, account_id = NULL, score = NULL, decided_by = $4,
    decided_at = $5,
    identity = CASE WHEN state = 'duplicate'
        THEN sha256(identity || convert_to(line_id::text, 'UTF8')) ELSE identity END
WHERE line_id = $1

-- Clues -----------------------------------------------------------------------------------------

-- name: named_invoices
-- The invoices that plain names $1 are the numbers of.
SELECT plain_name(number) AS name, account_id, number
FROM invoices
WHERE number IS NOT NULL AND kind = 'invoice' AND plain_name(number) = ANY($1::text[])

-- name: named_accounts
-- The accounts that plain names $1 are the ids of.
SELECT plain_name(account_id) AS name, account_id
FROM customer_billing_accounts
WHERE plain_name(account_id) = ANY($1::text[])

-- name: payers
-- The accounts that were paid for from bank accounts $1 before.
SELECT DISTINCT payer_account, account_id
FROM bank_lines
WHERE state = 'paired' AND payer_account <> '' AND payer_account = ANY($1::text[])

-- name: people
-- The accounts of customers with names $1, which are in small letters.
SELECT name, account_id
FROM (
    SELECT lower(details ->> 'name') AS name, customer_id FROM customer_details
    WHERE lower(details ->> 'name') = ANY($1::text[])
    UNION
    SELECT lower(details ->> 'company'), customer_id FROM customer_details
    WHERE lower(details ->> 'company') = ANY($1::text[])
) AS known
JOIN customer_billing_accounts USING (customer_id)

-- name: alone
-- Of currencies $1 and amounts $2: the account with the only open invoice with so much left.
SELECT currency, micros, min(account_id) AS account_id
FROM unnest($1::text[], $2::bigint[]) AS wanted (currency, micros)
CROSS JOIN LATERAL (
    SELECT account_id FROM invoices
    WHERE status = 'open' AND kind = 'invoice' AND invoices.currency = wanted.currency
        AND total_micros - paid_micros - offset_micros = wanted.micros
    LIMIT 2
) AS found
GROUP BY currency, micros
HAVING count(*) = 1

-- name: owners
-- Accounts $1 that are not closed, with the names of their customers.
SELECT account_id, currency,
    array_remove(ARRAY[details ->> 'name', details ->> 'company'], '') AS names
FROM customer_billing_accounts
LEFT JOIN customer_details USING (customer_id)
WHERE account_id = ANY($1::text[]) AND status <> 'closed'

-- name: open_invoices
-- What is open of accounts $1, soonest due first; what was written off can be paid as well.
SELECT account_id, invoice_id, number, total_micros - paid_micros - offset_micros AS left_micros
FROM invoices
WHERE account_id = ANY($1::text[]) AND kind = 'invoice' AND status IN ('open', 'uncollectible')
    AND total_micros - paid_micros - offset_micros > 0
ORDER BY due_on, invoice_id
