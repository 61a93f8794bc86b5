-- name: create
-- Customer $1, created at $2; returns nothing if it exists.
INSERT INTO customers (customer_id, created_at) VALUES ($1, $2)
ON CONFLICT DO NOTHING RETURNING customer_id

-- name: get
-- Customer $1 with its details.
SELECT customer_id, revision, created_at, erased_at, details
FROM customers LEFT JOIN customer_details USING (customer_id)
WHERE customer_id = $1

-- name: list
-- The first $2 customers after $1; only those whose name, company, address or email contains $3
-- (NULL: all).
SELECT customer_id, revision, created_at, erased_at, details
FROM customers LEFT JOIN customer_details USING (customer_id)
WHERE customer_id > $1 AND ($3::text IS NULL
    OR strpos(lower(customer_id), lower($3)) > 0
    OR EXISTS (SELECT FROM jsonb_each_text(details)
        WHERE key IN ('name', 'company', 'email', 'phone', 'street', 'city')
            AND strpos(lower(value), lower($3)) > 0))
ORDER BY customer_id LIMIT $2

-- name: lock
-- The revision of customer $1, kept from changing.
SELECT revision FROM customers WHERE customer_id = $1 FOR NO KEY UPDATE

-- name: change
-- Customer $1 has another revision.
UPDATE customers SET revision = revision + 1 WHERE customer_id = $1

-- name: put_details
-- Customer $1 has the details $2.
INSERT INTO customer_details (customer_id, details) VALUES ($1, $2)
ON CONFLICT (customer_id) DO UPDATE SET details = excluded.details

-- name: accounts
-- The accounts of customer $1.
SELECT account_id, status FROM customer_billing_accounts WHERE customer_id = $1 ORDER BY account_id

-- name: erase_details
-- Forget the details of customer $1.
DELETE FROM customer_details WHERE customer_id = $1

-- name: forget_methods
-- Remove what gateways keep for the accounts $1 under our tokens, at $2.
UPDATE payment_methods
SET removed_at = coalesce(removed_at, $2), is_default = false, token_sealed = NULL
WHERE account_id = ANY($1::text[])

-- name: forget_passwords
-- Forget the passwords of the accounts $1; closed, they let nobody in.
UPDATE subscribers SET password_sealed = NULL
WHERE account_id = ANY($1::text[]) AND password_sealed IS NOT NULL

-- name: forget_mails
-- Forget to whom mails of the accounts $1 went and what they said; those that wait are not sent.
UPDATE mail_messages SET recipient = '', subject = '', body = '',
    status = CASE WHEN status = 'queued' THEN 'failed' ELSE status END,
    error = CASE WHEN status = 'queued' THEN 'the customer was erased' ELSE error END
WHERE account_id = ANY($1::text[])

-- name: forget_answers
-- Forget the answers to requests over HTTP that name customer or accounts $1.
DELETE FROM http_requests WHERE EXISTS (
    SELECT FROM unnest($1::text[]) AS id
    WHERE position(convert_to('"' || id || '"', 'UTF8') IN answer) > 0)

-- name: erased
-- Customer $1 was erased at $2.
UPDATE customers SET erased_at = $2, revision = revision + 1 WHERE customer_id = $1

-- name: subscribers
-- The user names of customer $1's accounts.
SELECT username, account_id, plan, subscribers.created_at
FROM subscribers JOIN customer_billing_accounts USING (account_id)
WHERE customer_id = $1 ORDER BY username
