-- name: newest
-- The newest version of each plan of $1.
SELECT DISTINCT ON (name) name, version, definition
FROM plans WHERE name = ANY($1::text[])
ORDER BY name, version DESC

-- name: add_version
-- Keep version $2 of plan $1, defined as $3, from $4 on.
INSERT INTO plans (name, version, definition, created_at) VALUES ($1, $2, $3, $4)

-- name: all
-- Every version of every plan.
SELECT name, version, definition FROM plans ORDER BY name, version

-- name: list
-- The newest version of each plan, by name.
SELECT DISTINCT ON (name) definition FROM plans ORDER BY name, version DESC

-- name: version
-- Version $2 of plan $1, the newest if it is NULL.
SELECT definition FROM plans WHERE name = $1 AND ($2::integer IS NULL OR version = $2)
ORDER BY version DESC LIMIT 1
