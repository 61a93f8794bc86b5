-- What a backup is made of and what a restore empties: the tables of the schema, without the one that
-- only says which schema it is.

-- name: no_limit
-- A table is copied as a whole, however long that takes.
SET LOCAL statement_timeout = 0

-- name: tables
-- The tables with their columns, and what reads all rows. Partitions are read through their parents.
SELECT relname AS name, array_agg(attname::text ORDER BY attnum) AS columns,
    format('SELECT %s FROM %I', string_agg(quote_ident(attname), ', ' ORDER BY attnum), relname)
        AS reading
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    AND NOT relispartition AND relname <> 'alembic_version'
    AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
GROUP BY relname
ORDER BY relname

-- name: references
-- Which table refers to which other one.
SELECT DISTINCT child.relname AS child, parent.relname AS parent
FROM pg_constraint
JOIN pg_class AS child ON child.oid = conrelid
JOIN pg_class AS parent ON parent.oid = confrelid
WHERE contype = 'f' AND NOT child.relispartition AND NOT parent.relispartition
    AND child.oid <> parent.oid AND child.relnamespace = current_schema()::regnamespace

-- name: keep_schema
-- Let no migration change the tables until the transaction ends.
DO $$
DECLARE
    each regclass;
BEGIN
    FOR each IN SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition
    LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', each);
    END LOOP;
END $$

-- name: moment
-- What time it is.
SELECT now()

-- name: server
-- The version of the server.
SELECT current_setting('server_version')

-- name: months
-- The months that there are partitions for.
SELECT DISTINCT right(relname, 7) AS month FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relispartition AND relkind = 'r'
    AND relname ~ '_[0-9]{4}_[0-9]{2}$'
ORDER BY month

-- name: sequences
-- The last value that was given out of each sequence, at this moment.
SELECT sequencename AS name, last_value FROM pg_sequences
WHERE schemaname = current_schema() AND last_value IS NOT NULL
ORDER BY name

-- name: keys
-- The ids of the keys that something is sealed with (billing.sealing: octets 2 to 9 name the key).
SELECT DISTINCT encode(substring(sealed FROM 2 FOR 8), 'hex') AS key
FROM (
    SELECT secret_sealed FROM nas_clients
    UNION ALL SELECT password_sealed FROM subscribers
    UNION ALL SELECT token_sealed FROM payment_methods
) AS secrets (sealed)
WHERE sealed IS NOT NULL
ORDER BY key

-- name: filled
-- What tells whether a table holds a row; not of those that hold some before anything was entered.
SELECT relname AS name, format('SELECT EXISTS (SELECT FROM %I)', relname) AS holds
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND relname NOT IN ('alembic_version', 'ledgers', 'publications', 'settlement_positions')
    AND relname NOT LIKE 'pgqueuer%'
ORDER BY relname

-- name: try_lock
-- Whether this session may restore; held until it is released or the session ends.
SELECT pg_try_advisory_lock(hashtextextended('ratewire.restore', 0))

-- name: unlock
-- Let others restore.
SELECT pg_advisory_unlock(hashtextextended('ratewire.restore', 0))

-- name: other_owner
-- Who owns the tables, if the user who logged in may not do what that owner may.
SELECT pg_get_userbyid(relowner) FROM pg_class
WHERE oid = 'billing_transactions'::regclass AND NOT pg_has_role(session_user, relowner, 'USAGE')

-- name: as_owner
-- Until the transaction ends, be who logged in, and not the application's role.
SET LOCAL ROLE NONE

-- name: empty
-- Take all rows away, also of what is append-only otherwise, and begin all sequences anew.
DO $$
DECLARE
    each regclass;
BEGIN
    FOR each IN SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    LOOP
        EXECUTE format('ALTER TABLE ONLY %s DISABLE TRIGGER USER', each);
    END LOOP;
    EXECUTE (
        SELECT format('TRUNCATE %s RESTART IDENTITY', string_agg(quote_ident(relname), ', '))
        FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition AND relname <> 'alembic_version');
    FOR each IN SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    LOOP
        EXECUTE format('ALTER TABLE ONLY %s ENABLE TRIGGER USER', each);
    END LOOP;
END $$

-- name: unguard_lines
-- Lines are loaded after their documents, which are finalized: their guards wait. So does the trail,
-- which is loaded itself.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT tgrelid::regclass AS of_table, tgname FROM pg_trigger
        JOIN pg_proc ON pg_proc.oid = tgfoid WHERE proname IN ('refuse_line_change', 'audit_change')
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', each.of_table, each.tgname);
    END LOOP;
END $$

-- name: guard_lines
-- The guards of lines hold again, and changes are on the trail.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT tgrelid::regclass AS of_table, tgname FROM pg_trigger
        JOIN pg_proc ON pg_proc.oid = tgfoid WHERE proname IN ('refuse_line_change', 'audit_change')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER %I', each.of_table, each.tgname);
    END LOOP;
END $$

-- name: make_partitions
-- The partitions of a month $1, as YYYY_MM.
SELECT ensure_partitions(to_timestamp($1, 'YYYY_MM'), 0)

-- name: set_sequence
-- Sequence $1 goes on after $2.
SELECT setval(quote_ident($1)::regclass, $2)
