-- name: insert
-- Queue messages of the accounts $1: kinds $2, entities $3, languages $4, to $5, subjects $6, bodies
-- $7, with documents $8 $9 or none (by position, and so are the ids that are returned), at $10.
INSERT INTO mail_messages (account_id, kind, entity, language, recipient, subject, body,
    document_kind, document_id, created_at)
SELECT account_id, kind, entity, language, recipient, subject, body, document_kind, document_id, $10
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::bigint[]) WITH ORDINALITY AS new (account_id, kind, entity, language, recipient,
    subject, body, document_kind, document_id, place)
ORDER BY place
RETURNING message_id

-- name: claim
-- Message $1 if it is still to be sent, held until the transaction ends; one more attempt.
UPDATE mail_messages SET attempts = attempts + 1
WHERE message_id = $1 AND status = 'queued'
RETURNING message_id, account_id, kind, entity, recipient, subject, body, document_kind,
    document_id, attempts, created_at

-- name: sent
-- Message $1 was taken by the server at $2.
UPDATE mail_messages SET status = 'sent', sent_at = $2, error = '' WHERE message_id = $1

-- name: failed
-- Message $1 could not be sent, because of $2; for good if $3 is 'failed'.
UPDATE mail_messages SET status = $3, error = $2, attempts = $4 WHERE message_id = $1

-- name: list
-- The newest $1 messages before id $2, of account $3 and in status $4 as far as those are given.
SELECT message_id, account_id, kind, recipient, subject, document_kind, document_id, status,
    attempts, error, created_at, sent_at
FROM mail_messages
WHERE ($2::bigint IS NULL OR message_id < $2) AND ($3::text IS NULL OR account_id = $3)
    AND ($4::text IS NULL OR status = $4)
ORDER BY message_id DESC
LIMIT $1

-- name: requeue
-- Message $1 is to be sent again, if it failed.
UPDATE mail_messages SET status = 'queued', attempts = 0, error = ''
WHERE message_id = $1 AND status = 'failed'
RETURNING message_id

-- name: with_address
-- Which of the invoices $1 are of customers who had an address when they were finalized.
SELECT invoice_id FROM invoices
WHERE invoice_id = ANY($1::bigint[]) AND buyer ->> 'email' <> ''
