-- name: add
-- Add the NAS $1 with source $2, sealed secret $3, vendor $4, CoA host $5 and port $6, at $7;
-- requests leave from $8, $9 whether it signs logins.
INSERT INTO nas_clients (name, source, secret_sealed, vendor, coa_host, coa_port, created_at,
    coa_bind, signs_logins)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: same
-- A NAS that has the name $1 or the source $2, if there is one.
SELECT name, source FROM nas_clients WHERE name = $1 OR source = $2 ORDER BY name <> $1 LIMIT 1

-- name: list
-- All NASes, by name.
SELECT name, source, secret_sealed, vendor, coa_host, coa_port, created_at, coa_bind,
    signs_logins
FROM nas_clients ORDER BY name

-- name: remove
-- Remove the NAS $1; returns its name if there was one.
DELETE FROM nas_clients WHERE name = $1 RETURNING name
