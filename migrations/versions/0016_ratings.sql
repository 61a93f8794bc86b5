-- What rating keeps beside usage records: what accounts share, sessions' totals, charges' lines.

CREATE TABLE rating_pools (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES customer_billing_accounts,
    pool bytea NOT NULL
);
COMMENT ON TABLE rating_pools IS
    'allowances left and units of the cycle, by account, as of the last settled entry: the books are rebuilt from it';

CREATE TABLE session_tallies (
    session_uid uuid PRIMARY KEY,
    tally bytea NOT NULL
);
COMMENT ON TABLE session_tallies IS
    'running totals of sessions whose price is no function of their counters alone (MessagePack)';

CREATE TABLE charge_lines (
    session_uid uuid NOT NULL,
    settled_at timestamptz NOT NULL,
    charge_sequence bigint NOT NULL,
    lines jsonb NOT NULL,
    PRIMARY KEY (session_uid, settled_at, charge_sequence)
);
COMMENT ON TABLE charge_lines IS
    'why a charge is what it is, where the counters and the plan alone do not tell';
