-- Monthly partitions of the tables that grow with time, made ahead of it.
--
-- ensure_partitions(moment, ahead): the partition of the moment's month (UTC) and of the `ahead`
-- months after it, for each of those tables; returns the names of those that were missing.
-- Any number of callers at once is safe. A partition is made as a table of its own and then
-- attached, because that does not stop those who read and write the parent meanwhile.
--
-- A statement trigger of the parent does not fire for a statement that names a partition, so each
-- partition gets the parent's guards too.

CREATE FUNCTION ensure_partitions(moment timestamptz, ahead integer) RETURNS SETOF text
LANGUAGE plpgsql SET lock_timeout = '10s' SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    partition text;
    month timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ratewire.ensure_partitions', 0));
    FOREACH parent IN ARRAY ARRAY['ledger_postings', 'usage_records'] LOOP
        FOR number IN 0..ahead LOOP
            month := date_trunc('month', moment) + make_interval(months => number);
            partition := parent || to_char(month, '_YYYY_MM');
            CONTINUE WHEN to_regclass(partition) IS NOT NULL;
            EXECUTE format(
                'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
                partition, parent);
            EXECUTE format(
                'CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
                ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition);
            IF parent = 'ledger_postings' THEN
                EXECUTE format(
                    'CREATE TRIGGER balance AFTER INSERT ON %I REFERENCING NEW TABLE AS posted'
                    ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced()', partition);
            END IF;
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, month, month + interval '1 month');
            RETURN NEXT partition;
        END LOOP;
    END LOOP;
END $$;
