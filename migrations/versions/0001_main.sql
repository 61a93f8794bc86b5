-- The first schema: accounts and what belongs to them, the ledger, settlement, the road to the store.
--
-- Money is bigint micros (10^-6 of the currency unit). Identifiers that come from people or from
-- NASes are text in the C collation: they are compared by octets, and their indexes are smaller.

-- Accounts --------------------------------------------------------------------------------------

CREATE TABLE customer_billing_accounts (
    account_id text COLLATE "C" PRIMARY KEY
        CHECK (account_id ~ '^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$'),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    payment_mode text NOT NULL CHECK (payment_mode IN ('prepaid', 'postpaid')),
    credit_limit_micros bigint CHECK (credit_limit_micros >= 0),
    minimum_balance_micros bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    movement_sequence bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
COMMENT ON COLUMN customer_billing_accounts.credit_limit_micros IS 'NULL: unlimited credit';
COMMENT ON COLUMN customer_billing_accounts.movement_sequence IS
    'the last movement posted for the store; taken under this row''s lock';

CREATE TABLE plans (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);
COMMENT ON COLUMN plans.definition IS 'rating.plan.Plan; a version never changes';

CREATE TABLE subscribers (
    username text COLLATE "C" PRIMARY KEY CHECK (octet_length(username) BETWEEN 1 AND 253),
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    plan text COLLATE "C" NOT NULL,
    password_sealed bytea,
    created_at timestamptz NOT NULL
);
CREATE INDEX subscribers_account ON subscribers (account_id);

CREATE TABLE nas_clients (
    name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    source cidr NOT NULL UNIQUE,
    secret_sealed bytea NOT NULL,
    vendor text COLLATE "C" NOT NULL,
    coa_host inet,
    coa_port integer CHECK (coa_port BETWEEN 1 AND 65535),
    created_at timestamptz NOT NULL
);

CREATE TABLE api_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    role text NOT NULL CHECK (role IN ('admin', 'finance', 'support', 'read-only')),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which has 256 random bits';

-- The road to the store -------------------------------------------------------------------------

-- No foreign key: a movement gets its sequence from its account's row in the statement that inserts
-- it, and checking once more is 40 % of a mass import.
CREATE TABLE store_outbox (
    account_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    movement jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    refusal text,
    PRIMARY KEY (account_id, sequence)
);
COMMENT ON TABLE store_outbox IS
    'movements that the store has not applied yet (balances.messages.Movement); deleted once it has';
COMMENT ON COLUMN store_outbox.refusal IS
    'why the store does not take it, so that the account''s movements stand still; NULL: nothing known';
-- Whether a user name is still on its way out of one account before it comes into another.
CREATE INDEX store_outbox_dropped ON store_outbox ((movement ->> 'username'))
    WHERE movement ->> 'kind' = 'drop';

CREATE TABLE publications (
    what text PRIMARY KEY CHECK (what IN ('plans', 'nas')),
    revision bigint NOT NULL
);
INSERT INTO publications VALUES ('plans', 0), ('nas', 0);
COMMENT ON TABLE publications IS 'how often the plans and the NASes changed; the store mirrors them';

-- The ledger ------------------------------------------------------------------------------------

CREATE TABLE ledgers (
    ledger smallint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    of_customer boolean NOT NULL
);
INSERT INTO ledgers VALUES
    (10, 'cash', false),
    (20, 'customer_credit', true),
    (21, 'receivable', true),
    (22, 'unbilled_usage', true),
    (30, 'revenue', false),
    (31, 'tax', false),
    (40, 'promotional_credit', false),
    (41, 'breakage', false),
    (50, 'bad_debt', false),
    (60, 'rounding', false),
    (61, 'adjustment', false);
COMMENT ON TABLE ledgers IS
    'the chart of accounts; an account''s balance is minus the sum of its postings of_customer';

CREATE TABLE billing_transactions (
    transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    posted_at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('topup', 'adjustment', 'usage')),
    account_id text COLLATE "C" REFERENCES customer_billing_accounts,
    description text NOT NULL,
    actor text NOT NULL,
    idempotency_key text,
    partition smallint,
    generation integer,
    first_sequence bigint,
    last_sequence bigint
);
COMMENT ON COLUMN billing_transactions.account_id IS 'NULL for usage: one transaction settles many';
CREATE UNIQUE INDEX billing_transactions_once
    ON billing_transactions (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Debits are positive, credits negative. Partitioned by the month of posting, never by NAS time.
CREATE TABLE ledger_postings (
    transaction_id bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    ledger smallint NOT NULL,
    account_id text COLLATE "C",
    currency text COLLATE "C" NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros <> 0)
) PARTITION BY RANGE (posted_at);
CREATE INDEX ledger_postings_account ON ledger_postings (account_id, transaction_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it by a further entry', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT transaction_id, currency, sum(amount_micros) AS remainder INTO wrong
        FROM posted GROUP BY transaction_id, currency HAVING sum(amount_micros) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % does not balance: % micros % remain',
            wrong.transaction_id, wrong.remainder, wrong.currency
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_postings_balance AFTER INSERT ON ledger_postings
    REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced();
CREATE TRIGGER ledger_postings_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER billing_transactions_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Settlement ------------------------------------------------------------------------------------

CREATE TABLE settlement_positions (
    partition smallint PRIMARY KEY,
    generation integer NOT NULL,
    sequence bigint NOT NULL,
    settled_at timestamptz NOT NULL
);
COMMENT ON TABLE settlement_positions IS
    'the last stream entry settled; moved by compare-and-set in the transaction that settles';

CREATE TABLE accounting_sessions (
    session_uid uuid PRIMARY KEY,
    session_key text COLLATE "C" NOT NULL,
    nas text COLLATE "C" NOT NULL,
    acct_session_id text COLLATE "C" NOT NULL,
    epoch integer NOT NULL,
    username text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    plan text COLLATE "C" NOT NULL,
    plan_version integer NOT NULL,
    currency text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    base_seconds bigint NOT NULL,
    base_octets_in numeric(20) NOT NULL,
    base_octets_out numeric(20) NOT NULL,
    identity bytea NOT NULL,
    closed_at timestamptz,
    close_reason text CHECK (close_reason IN ('stop', 'lost', 'nas_down', 'restarted')),
    terminate_cause integer,
    last_event_at timestamptz,
    seconds bigint,
    octets_in numeric(20),
    octets_out numeric(20),
    charged_micros bigint
) WITH (fillfactor = 80);
COMMENT ON TABLE accounting_sessions IS
    'one row a session epoch: written when it opens and when it closes (its final figures)';
CREATE INDEX accounting_sessions_account ON accounting_sessions (account_id);
CREATE INDEX accounting_sessions_username ON accounting_sessions (username);
CREATE INDEX accounting_sessions_key ON accounting_sessions (session_key, opened_at);
CREATE INDEX accounting_sessions_open ON accounting_sessions (session_uid) WHERE closed_at IS NULL;

-- One row a record that added usage. Counters after it are in the epoch, as charged. Octets are 64-bit
-- unsigned on the wire; the broken ones beyond 2^63 never get here (rating refuses them).
CREATE TABLE usage_records (
    settled_at timestamptz NOT NULL,
    session_uid uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    charge_sequence bigint NOT NULL,
    event_at timestamptz NOT NULL,
    kind smallint NOT NULL,
    plan_version integer NOT NULL,
    seconds bigint NOT NULL,
    octets_in bigint NOT NULL,
    octets_out bigint NOT NULL,
    used_seconds bigint NOT NULL,
    used_octets_in bigint NOT NULL,
    used_octets_out bigint NOT NULL,
    charged_micros bigint NOT NULL CHECK (charged_micros >= 0),
    total_micros bigint NOT NULL
) PARTITION BY RANGE (settled_at);
CREATE INDEX usage_records_session ON usage_records (session_uid, settled_at);
CREATE TRIGGER usage_records_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE parked_entries (
    parked_at timestamptz NOT NULL,
    partition smallint NOT NULL,
    generation integer NOT NULL,
    sequence bigint NOT NULL,
    item integer NOT NULL,
    field bytea NOT NULL,
    entry bytea NOT NULL,
    error text NOT NULL,
    PRIMARY KEY (partition, generation, sequence, item)
);
COMMENT ON TABLE parked_entries IS 'settlement entries that could not be booked, octet for octet';

-- What staff look at ----------------------------------------------------------------------------

CREATE TABLE unrated_records (
    nas text COLLATE "C" NOT NULL,
    acct_session_id text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    client text COLLATE "C" NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    records bigint NOT NULL,
    kind smallint NOT NULL,
    event_at timestamptz NOT NULL,
    seconds bigint NOT NULL,
    octets_in numeric(20) NOT NULL,
    octets_out numeric(20) NOT NULL,
    identity bytea NOT NULL,
    PRIMARY KEY (nas, acct_session_id, username)
);
COMMENT ON TABLE unrated_records IS
    'the last record of each session that could not be rated; counters are cumulative, so it says all';

CREATE TABLE anomalies (
    session_uid uuid NOT NULL,
    code text NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    records bigint NOT NULL,
    event_at timestamptz NOT NULL,
    seconds numeric(20) NOT NULL,
    octets_in numeric(20) NOT NULL,
    octets_out numeric(20) NOT NULL,
    PRIMARY KEY (session_uid, code)
);

CREATE TABLE enforcement_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_uid uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    session_key text COLLATE "C" NOT NULL,
    cause text NOT NULL,
    event text NOT NULL,
    at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    result text NOT NULL,
    error_cause integer NOT NULL
);
CREATE INDEX enforcement_events_session ON enforcement_events (session_uid);
