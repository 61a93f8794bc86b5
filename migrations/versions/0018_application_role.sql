-- The role in which the application works (billing.database). It owns nothing; of what is append-only
-- it may read and add rows, and no privilege of it, beside the triggers, lets it change or delete any.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ratewire_application') THEN
        BEGIN
            CREATE ROLE ratewire_application NOLOGIN;
        EXCEPTION
            -- Another database of the same server is migrated at this moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING MESSAGE = format(
                    'the user %1$I may not create roles: have an administrator run'
                    ' CREATE ROLE ratewire_application NOLOGIN;'
                    ' GRANT ratewire_application TO %1$I; and migrate again', current_user);
        END;
    END IF;
    IF NOT pg_has_role('ratewire_application', 'SET') THEN
        BEGIN
            EXECUTE format('GRANT ratewire_application TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE insufficient_privilege USING MESSAGE = format(
                'the user %1$I may not work as ratewire_application: have an administrator run'
                ' GRANT ratewire_application TO %1$I; and migrate again', current_user);
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ratewire_application', current_schema());
END $$;

-- allow_application(): gives the role what it may do with each table and sequence of the schema, and
-- no more. Run after each migration. What has a trigger that calls refuse_change() is append-only.
-- Nothing is given on a partition: it is read and written through its parent.
CREATE FUNCTION allow_application() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    each record;
BEGIN
    FOR each IN
        SELECT pg_class.oid::regclass AS of_table,
            CASE
                WHEN relname = 'alembic_version' THEN 'SELECT'
                WHEN EXISTS (
                    SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid
                        AND tgfoid = to_regproc('refuse_change')) THEN 'SELECT, INSERT'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END AS privileges
        FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM ratewire_application', each.of_table);
        EXECUTE format('GRANT %s ON %s TO ratewire_application', each.privileges, each.of_table);
    END LOOP;
    EXECUTE format(
        'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO ratewire_application',
        current_schema());
END $$;

-- The upkeep makes partitions, and a partition is its owner's to make.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION ensure_partitions(timestamptz, integer)'
        ' SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION ensure_partitions(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(timestamptz, integer) TO ratewire_application;
REVOKE ALL ON FUNCTION allow_application() FROM PUBLIC;
SELECT allow_application();
