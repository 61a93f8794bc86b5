-- Allowances that accounts were granted by a top-up or a promotion, beside those of their plans.

CREATE TABLE allowance_grants (
    grant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    sequence bigint NOT NULL,
    idempotency_key text COLLATE "C",
    name text NOT NULL,
    unit text NOT NULL CHECK (unit IN ('octets', 'seconds', 'money')),
    amount bigint NOT NULL CHECK (amount > 0),
    priority integer NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz CHECK (until > since),
    plan text COLLATE "C",
    username text COLLATE "C",
    source text NOT NULL CHECK (source IN ('topup', 'promotion')),
    reason text NOT NULL,
    actor text NOT NULL,
    granted_at timestamptz NOT NULL,
    part bytea NOT NULL,
    UNIQUE (account_id, sequence),
    UNIQUE (account_id, idempotency_key)
);
COMMENT ON TABLE allowance_grants IS
    'allowances granted by hand, as they were granted; what is left of them is in the store';
COMMENT ON COLUMN allowance_grants.part IS
    'the movement as it is appended to the pool: rebuilt books have it even if nobody rated since';
CREATE TRIGGER allowance_grants_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON allowance_grants
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON allowance_grants
    FOR EACH ROW EXECUTE FUNCTION audit_change('account_id', 'grant_id', '-', 'part');
