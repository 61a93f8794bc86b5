-- name: order
-- A service of account $1 with the user name $2 (or NULL), described as $3, ordered on the offer $4,
-- $5 times, whose first session begins its billing ($6), at $7; returns its id.
INSERT INTO services (account_id, username, description, ordered_offer, ordered_quantity,
    activates_by_use, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING service_id

-- name: account_of
-- Whose service $1 is.
SELECT account_id FROM services WHERE service_id = $1

-- name: get
-- Service $1, with its terms as JSON, in order.
SELECT service.*, coalesce(terms, '[]'::jsonb) AS terms
FROM services AS service
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'starts_on', starts_on, 'ends_on', ends_on, 'quantity', quantity,
        'offer', jsonb_build_object('name', offer, 'version', offer_version)
    ) ORDER BY starts_on) AS terms
    FROM service_terms AS term WHERE term.service_id = service.service_id
) AS term ON true
WHERE service_id = $1

-- name: list
-- The first $3 services after service $2, of account $1 or, if that is NULL, of all; with their terms.
SELECT service.*, coalesce(terms, '[]'::jsonb) AS terms
FROM services AS service
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'starts_on', starts_on, 'ends_on', ends_on, 'quantity', quantity,
        'offer', jsonb_build_object('name', offer, 'version', offer_version)
    ) ORDER BY starts_on) AS terms
    FROM service_terms AS term WHERE term.service_id = service.service_id
) AS term ON true
WHERE service_id > $2 AND ($1::text IS NULL OR account_id = $1)
ORDER BY service_id
LIMIT $3

-- name: owner_of
-- The account of the subscriber $1.
SELECT account_id FROM subscribers WHERE username = $1

-- name: drop_terms
-- Forget the terms of service $1, to write them anew.
DELETE FROM service_terms WHERE service_id = $1

-- name: add_terms
-- The terms of service $1: $2 first days, $3 ends or NULL, $4 offers, $5 versions, $6 quantities.
INSERT INTO service_terms (service_id, starts_on, ends_on, offer, offer_version, quantity)
SELECT $1, term.* FROM unnest($2::date[], $3::date[], $4::text[], $5::integer[], $6::integer[])
    AS term

-- name: set_cancelled
-- Service $1 is cancelled from $2 on; NULL: it is not.
UPDATE services SET cancelled_on = $2 WHERE service_id = $1

-- name: note_event
-- What happened to service $1 at $2: event, effective day, offer or NULL, reason, actor.
INSERT INTO service_events (service_id, at, event, effective_on, offer, reason, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: events
-- What happened to service $1, oldest first.
SELECT at, event, effective_on, offer, reason, actor FROM service_events
WHERE service_id = $1 ORDER BY event_id

-- name: subscriber
-- The subscriber $1 of account $2: its plan, and whether it may use the service; taken.
SELECT plan, served FROM subscribers WHERE username = $1 AND account_id = $2
FOR UPDATE

-- name: serve
-- The subscriber $1 is on plan $2 and may use the service ($3).
UPDATE subscribers SET plan = $2, served = $3 WHERE username = $1

-- name: set_provisioned
-- What the subscriber of service $1 may do changes next on $2.
UPDATE services SET provisioned_until = $2 WHERE service_id = $1

-- name: due_for_provisioning
-- The first $2 services after service $3 whose day has come in their zone at $1.
SELECT service_id, account_id FROM services JOIN customer_billing_accounts USING (account_id)
WHERE provisioned_until <= ($1::timestamptz AT TIME ZONE time_zone)::date AND service_id > $3
ORDER BY service_id
LIMIT $2

-- name: first_uses
-- The first $1 services that wait for their first session and had one: when it began.
SELECT service_id, account_id, min(started_at) AS used_at
FROM services JOIN accounting_sessions USING (account_id, username)
WHERE activates_by_use AND cancelled_on IS NULL
    AND NOT EXISTS (SELECT FROM service_terms WHERE service_terms.service_id = services.service_id)
GROUP BY service_id, account_id
ORDER BY service_id
LIMIT $1

-- name: throttle_of
-- The plan that the subscribers of account $1 are throttled to; none: they are not.
SELECT plan FROM account_throttles WHERE account_id = $1

-- name: throttle
-- Throttle the subscribers of account $1 to plan $2; returns nothing if they are already.
INSERT INTO account_throttles (account_id, plan) VALUES ($1, $2)
ON CONFLICT DO NOTHING
RETURNING plan

-- name: unthrottle
-- Throttle the subscribers of account $1 no more; returns the plan if they were.
DELETE FROM account_throttles WHERE account_id = $1 RETURNING plan

-- name: served_of
-- The subscribers of account $1 that may use the service, and the plans they have bought.
SELECT username, plan FROM subscribers WHERE account_id = $1 AND served ORDER BY username

-- name: plan_exists
-- Whether there is a plan $1.
SELECT EXISTS (SELECT FROM plans WHERE name = $1)
