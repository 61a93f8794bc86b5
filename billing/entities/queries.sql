-- name: put
-- Keep entity $1 as $2, at $3; returns whether anything changed.
INSERT INTO billing_entities AS known (entity, definition, changed_at) VALUES ($1, $2, $3)
ON CONFLICT (entity) DO UPDATE SET definition = excluded.definition, changed_at = excluded.changed_at
WHERE known.definition IS DISTINCT FROM excluded.definition
RETURNING entity

-- name: get
-- The definitions of the entities $1.
SELECT entity, definition FROM billing_entities WHERE entity = ANY($1::text[])

-- name: list
-- All entities.
SELECT definition FROM billing_entities ORDER BY entity
