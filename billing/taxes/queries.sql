-- name: put
-- Keep rates: $1 jurisdictions, $2 categories, $3 taxes, $4 from, $5 ppm, $6 until, $7 places,
-- $8 compound, $9 codes, $10 reasons, at $11. Returns those that are new or differ from what was.
INSERT INTO tax_rates AS known (jurisdiction, category, tax, valid_from, ppm, valid_until, place,
    compound, code, reason, changed_at)
SELECT given.*, $11
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::integer[], $6::date[],
    $7::smallint[], $8::boolean[], $9::text[], $10::text[]) AS given
ON CONFLICT (jurisdiction, category, tax, valid_from) DO UPDATE SET
    ppm = excluded.ppm, valid_until = excluded.valid_until, place = excluded.place,
    compound = excluded.compound, code = excluded.code, reason = excluded.reason,
    changed_at = excluded.changed_at
WHERE (known.ppm, known.valid_until, known.place, known.compound, known.code, known.reason)
    IS DISTINCT FROM (excluded.ppm, excluded.valid_until, excluded.place, excluded.compound,
        excluded.code, excluded.reason)
RETURNING jurisdiction, category, tax, valid_from

-- name: list
-- All rates, or those of jurisdiction $1.
SELECT jurisdiction, category, tax, valid_from, ppm, valid_until, place, compound, code, reason
FROM tax_rates
WHERE $1::text IS NULL OR jurisdiction = $1
ORDER BY jurisdiction, category, place, tax, valid_from

-- name: remove
-- Forget the rate of jurisdiction $1, category $2 and tax $3 that begins on $4.
DELETE FROM tax_rates
WHERE jurisdiction = $1 AND category = $2 AND tax = $3 AND valid_from = $4
RETURNING true
