-- What became of sessions that could not be rated, once staff decided.

CREATE TABLE unrated_resolutions (
    resolution_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    nas text COLLATE "C" NOT NULL,
    acct_session_id text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL,
    unrated_reason text NOT NULL,
    records bigint NOT NULL,
    event_at timestamptz NOT NULL,
    seconds bigint NOT NULL,
    octets_in numeric(20) NOT NULL,
    octets_out numeric(20) NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('rerated', 'written_off')),
    reason text NOT NULL,
    actor text NOT NULL,
    resolved_at timestamptz NOT NULL
);
COMMENT ON TABLE unrated_resolutions IS
    'rows that left unrated_records: rated after all, or written off for a reason';
CREATE TRIGGER unrated_resolutions_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON unrated_resolutions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
