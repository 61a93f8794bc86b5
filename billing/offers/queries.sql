-- name: hold
-- Keep others from loading offers until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('ratewire.offers', 0))

-- name: newest
-- The newest version of each offer of $1.
SELECT DISTINCT ON (name) name, version, definition
FROM offers WHERE name = ANY($1::text[])
ORDER BY name, version DESC

-- name: add_version
-- Keep version $2 of offer $1, defined as $3, from $4 on.
INSERT INTO offers (name, version, definition, created_at) VALUES ($1, $2, $3, $4)

-- name: list
-- The newest version of each offer, by name.
SELECT DISTINCT ON (name) definition FROM offers ORDER BY name, version DESC

-- name: versions
-- Offers by name and version: $1 and $2 by position.
SELECT name, version, definition FROM offers
JOIN unnest($1::text[], $2::integer[]) AS wanted (name, version) USING (name, version)

-- name: plan_currency
-- The currency of the newest version of plan $1, if there is one.
SELECT definition -> 'tariff' ->> 'currency' FROM plans
WHERE name = $1 ORDER BY version DESC LIMIT 1
