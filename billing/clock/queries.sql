-- name: get
-- The moment that the clock was set to, if it was.
SELECT moment FROM billing_clock

-- name: set
-- Set the clock to $1.
INSERT INTO billing_clock (moment) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET moment = excluded.moment
