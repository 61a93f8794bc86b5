-- Customers, what an account says about billing, payments and what becomes of them, vouchers, and
-- the trail of who changed what.

-- Which kinds there are is billing.ledger.transaction.Kind's to say.
ALTER TABLE billing_transactions DROP CONSTRAINT IF EXISTS billing_transactions_kind_check;
ALTER TABLE billing_transactions ADD CONSTRAINT billing_transactions_kind_check
    CHECK (kind ~ '^[a-z][a-z_]{0,31}$');
CREATE INDEX billing_transactions_account ON billing_transactions (account_id, transaction_id);

INSERT INTO ledgers VALUES
    (11, 'voucher_clearing', false),
    (12, 'disputed', false),
    (51, 'payment_fees', false);

-- Customers -------------------------------------------------------------------------------------

CREATE TABLE customers (
    customer_id text COLLATE "C" PRIMARY KEY
        CHECK (customer_id ~ '^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$'),
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    erased_at timestamptz
);
CREATE TABLE customer_details (
    customer_id text COLLATE "C" PRIMARY KEY REFERENCES customers,
    details jsonb NOT NULL
);
COMMENT ON TABLE customer_details IS
    'personal data (billing.customers.customer.Details), apart from all else so that it can be erased';

ALTER TABLE customer_billing_accounts
    ADD COLUMN IF NOT EXISTS time_zone text COLLATE "C" NOT NULL DEFAULT 'UTC',
    ADD COLUMN customer_id text COLLATE "C" REFERENCES customers,
    ADD COLUMN payer_id text COLLATE "C" REFERENCES customer_billing_accounts
        CHECK (payer_id <> account_id),
    ADD COLUMN language text COLLATE "C" NOT NULL DEFAULT 'en',
    ADD COLUMN payment_days integer NOT NULL DEFAULT 14 CHECK (payment_days BETWEEN 0 AND 365),
    ADD COLUMN auto_pay boolean NOT NULL DEFAULT false,
    ADD COLUMN dunning_excluded boolean NOT NULL DEFAULT false,
    ADD COLUMN revision integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN customer_billing_accounts.payer_id IS
    'the account that is billed for what this one uses; NULL: itself';
CREATE INDEX customer_billing_accounts_customer ON customer_billing_accounts (customer_id);
CREATE INDEX customer_billing_accounts_payer ON customer_billing_accounts (payer_id)
    WHERE payer_id IS NOT NULL;

-- Payments --------------------------------------------------------------------------------------

CREATE TABLE payment_methods (
    method_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    kind text NOT NULL CHECK (kind IN ('card', 'bank_transfer', 'direct_debit', 'wallet')),
    gateway text COLLATE "C" NOT NULL,
    token_sealed bytea,
    label text NOT NULL,
    expires_on date,
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    removed_at timestamptz,
    CHECK (NOT (is_default AND removed_at IS NOT NULL))
);
COMMENT ON COLUMN payment_methods.token_sealed IS
    'what the gateway calls it; a card or account number is never kept';
CREATE UNIQUE INDEX payment_methods_default ON payment_methods (account_id) WHERE is_default;
CREATE INDEX payment_methods_account ON payment_methods (account_id);

CREATE TABLE payments (
    payment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    currency text COLLATE "C" NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    method text NOT NULL CHECK (method IN
        ('card', 'bank_transfer', 'direct_debit', 'cash', 'cheque', 'voucher', 'wallet')),
    method_id bigint REFERENCES payment_methods,
    status text NOT NULL
        CHECK (status IN ('pending', 'succeeded', 'failed', 'cancelled', 'unknown')),
    gateway text COLLATE "C" NOT NULL,
    gateway_reference text COLLATE "C",
    reference text NOT NULL,
    description text NOT NULL,
    failure text NOT NULL DEFAULT '',
    idempotency_key text,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    transaction_id bigint REFERENCES billing_transactions,
    allocated_micros bigint NOT NULL DEFAULT 0 CHECK (allocated_micros >= 0),
    refunded_micros bigint NOT NULL DEFAULT 0 CHECK (refunded_micros >= 0),
    disputed_micros bigint NOT NULL DEFAULT 0 CHECK (disputed_micros >= 0),
    lost_micros bigint NOT NULL DEFAULT 0 CHECK (lost_micros >= 0),
    UNIQUE (gateway, gateway_reference),
    CONSTRAINT settled_once CHECK (
        num_nulls(settled_at, transaction_id) = CASE WHEN status = 'succeeded' THEN 0 ELSE 2 END),
    CONSTRAINT only_what_came CHECK (status = 'succeeded'
        OR (allocated_micros, refunded_micros, disputed_micros, lost_micros) = (0, 0, 0, 0)),
    CONSTRAINT never_given_back_twice
        CHECK (refunded_micros + disputed_micros + lost_micros <= amount_micros),
    CONSTRAINT never_paid_twice
        CHECK (allocated_micros + lost_micros <= amount_micros)
);
COMMENT ON COLUMN payments.disputed_micros IS 'the part of chargebacks that are open';
CREATE UNIQUE INDEX payments_once ON payments (account_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX payments_account ON payments (account_id, payment_id);
CREATE INDEX payments_reference ON payments (reference) WHERE reference <> '';
CREATE INDEX payments_unsettled ON payments (payment_id) WHERE status IN ('pending', 'unknown');

CREATE TABLE payment_allocations (
    allocation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id bigint NOT NULL REFERENCES payments,
    document_kind text NOT NULL CHECK (document_kind IN ('invoice')),
    document_id bigint NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    allocated_at timestamptz NOT NULL,
    transaction_id bigint NOT NULL REFERENCES billing_transactions,
    released_micros bigint NOT NULL DEFAULT 0
        CHECK (released_micros BETWEEN 0 AND amount_micros)
);
COMMENT ON COLUMN payment_allocations.released_micros IS
    'taken back: the payment was refunded or lost, or it was put on the wrong document';
CREATE INDEX payment_allocations_payment ON payment_allocations (payment_id);
CREATE INDEX payment_allocations_document ON payment_allocations (document_kind, document_id);

CREATE TABLE refunds (
    refund_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id bigint NOT NULL REFERENCES payments,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    reason text NOT NULL CHECK (reason <> ''),
    gateway_reference text COLLATE "C",
    idempotency_key text,
    actor text NOT NULL,
    refunded_at timestamptz NOT NULL,
    transaction_id bigint NOT NULL REFERENCES billing_transactions
);
CREATE INDEX refunds_payment ON refunds (payment_id);
CREATE UNIQUE INDEX refunds_once ON refunds (payment_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE TRIGGER refunds_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE chargebacks (
    chargeback_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id bigint NOT NULL REFERENCES payments,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'won', 'lost')),
    reference text COLLATE "C" NOT NULL CHECK (reference <> ''),
    reason text NOT NULL,
    fee_micros bigint NOT NULL DEFAULT 0 CHECK (fee_micros >= 0),
    actor text NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    CHECK ((status = 'open') = (closed_at IS NULL)),
    UNIQUE (payment_id, reference)
);

-- Vouchers --------------------------------------------------------------------------------------

CREATE TABLE voucher_batches (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    currency text COLLATE "C" NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    vouchers integer NOT NULL CHECK (vouchers > 0),
    description text NOT NULL,
    expires_at timestamptz,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE TABLE vouchers (
    code_hash bytea PRIMARY KEY CHECK (octet_length(code_hash) = 32),
    batch_id bigint NOT NULL REFERENCES voucher_batches,
    serial integer NOT NULL CHECK (serial > 0),
    payment_id bigint UNIQUE REFERENCES payments,
    redeemed_at timestamptz,
    UNIQUE (batch_id, serial),
    CHECK ((payment_id IS NULL) = (redeemed_at IS NULL))
);
COMMENT ON COLUMN vouchers.code_hash IS 'SHA-256 of the code, which has 74 random bits (billing.vouchers.code)';

-- The trail -------------------------------------------------------------------------------------

CREATE TABLE audit_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    source text NOT NULL,
    request_id text NOT NULL,
    action text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    subject text COLLATE "C" NOT NULL,
    subject_id text COLLATE "C" NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_events_subject ON audit_events (subject, subject_id, event_id);
CREATE INDEX audit_events_actor ON audit_events (actor, event_id);
CREATE TRIGGER audit_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE audit_events IS
    'each change of a row that staff can change: only the columns that changed, no secret, no personal data';
COMMENT ON COLUMN audit_events.actor IS 'billing.audit.origin.Origin, or the database''s user';

-- Written by the row itself, so that no change of it can be left out, whoever makes it.
-- Arguments: the columns that name the row; then, after '-', those whose values are not shown.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    arguments CONSTANT text[] := TG_ARGV;
    dash CONSTANT integer := coalesce(array_position(arguments, '-'), array_length(arguments, 1));
    hidden CONSTANT text[] := arguments[dash + 1:];
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    names text[];
    some_row jsonb := coalesce(new_row, old_row);
    id text := '';
    name text;
BEGIN
    SELECT array_agg(key ORDER BY key) INTO names FROM jsonb_object_keys(some_row) AS key
        WHERE key NOT IN ('movement_sequence', 'revision')
            AND (old_row IS NULL OR new_row IS NULL OR old_row -> key <> new_row -> key);
    IF names IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(some_row ->> column_name, ' ') INTO id
        FROM unnest(arguments[:dash]) AS column_name WHERE column_name <> '-';
    FOREACH name IN ARRAY hidden LOOP
        old_row := CASE WHEN old_row ? name AND old_row -> name <> 'null'
            THEN jsonb_set(old_row, ARRAY[name], '"(not shown)"') ELSE old_row END;
        new_row := CASE WHEN new_row ? name AND new_row -> name <> 'null'
            THEN jsonb_set(new_row, ARRAY[name], '"(not shown)"') ELSE new_row END;
    END LOOP;
    INSERT INTO audit_events
        (at, actor, source, request_id, action, subject, subject_id, before, after)
    VALUES (
        clock_timestamp(),
        coalesce(nullif(current_setting('ratewire.actor', true), ''), 'database:' || session_user),
        coalesce(current_setting('ratewire.source', true), ''),
        coalesce(current_setting('ratewire.request_id', true), ''),
        lower(TG_OP), TG_TABLE_NAME, id,
        (SELECT jsonb_object_agg(key, value) FROM jsonb_each(old_row) WHERE key = ANY (names)),
        (SELECT jsonb_object_agg(key, value) FROM jsonb_each(new_row) WHERE key = ANY (names)));
    RETURN NULL;
END $$;

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON customer_billing_accounts
    FOR EACH ROW EXECUTE FUNCTION audit_change('account_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON customers
    FOR EACH ROW EXECUTE FUNCTION audit_change('customer_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON customer_details
    FOR EACH ROW EXECUTE FUNCTION audit_change('customer_id', '-', 'details');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON subscribers
    FOR EACH ROW EXECUTE FUNCTION audit_change('username', '-', 'password_sealed');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON nas_clients
    FOR EACH ROW EXECUTE FUNCTION audit_change('name', '-', 'secret_sealed');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION audit_change('role', 'created_at', '-', 'token_hash');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON plans
    FOR EACH ROW EXECUTE FUNCTION audit_change('name', 'version');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tax_rates
    FOR EACH ROW EXECUTE FUNCTION audit_change('jurisdiction', 'category', 'tax', 'valid_from');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON offers
    FOR EACH ROW EXECUTE FUNCTION audit_change('name', 'version');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION audit_change('service_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON coupons
    FOR EACH ROW EXECUTE FUNCTION audit_change('code');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON payment_methods
    FOR EACH ROW EXECUTE FUNCTION audit_change('method_id', '-', 'token_sealed');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION audit_change('payment_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON refunds
    FOR EACH ROW EXECUTE FUNCTION audit_change('refund_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON chargebacks
    FOR EACH ROW EXECUTE FUNCTION audit_change('chargeback_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON voucher_batches
    FOR EACH ROW EXECUTE FUNCTION audit_change('batch_id');
