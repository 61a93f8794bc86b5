-- What gateways tell us, as they sent it, and accounts that are topped up by themselves.

CREATE TABLE gateway_events (
    gateway text COLLATE "C" NOT NULL CHECK (gateway <> ''),
    event_id text COLLATE "C" NOT NULL CHECK (event_id <> ''),
    body bytea NOT NULL,
    received_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    try_at timestamptz NOT NULL,
    processed_at timestamptz,
    outcome text NOT NULL DEFAULT '',
    PRIMARY KEY (gateway, event_id)
);
COMMENT ON TABLE gateway_events IS 'each event once, however often it is delivered';
COMMENT ON COLUMN gateway_events.outcome IS 'what was done, or why it could not be done yet';
CREATE INDEX gateway_events_waiting ON gateway_events (try_at) WHERE processed_at IS NULL;
CREATE INDEX gateway_events_received ON gateway_events (received_at DESC);

ALTER TABLE payments ADD COLUMN asked_at timestamptz;
COMMENT ON COLUMN payments.asked_at IS 'when its gateway was last asked what became of it';

CREATE TABLE auto_topups (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES customer_billing_accounts,
    method_id bigint NOT NULL REFERENCES payment_methods,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    below_micros bigint,
    every_days integer CHECK (every_days BETWEEN 1 AND 366),
    try_at timestamptz,
    attempts bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    CHECK (num_nonnulls(below_micros, every_days) = 1)
);
COMMENT ON COLUMN auto_topups.below_micros IS 'topped up when its balance is less; or every so many days';
COMMENT ON COLUMN auto_topups.try_at IS 'not before; NULL: given up after too many failures';
CREATE INDEX auto_topups_due ON auto_topups (try_at);
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON auto_topups
    FOR EACH ROW EXECUTE FUNCTION audit_change('account_id');
