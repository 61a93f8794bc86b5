-- Bank files as they came, and their lines, each of which is paired with at most one payment.

CREATE TABLE bank_files (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    format text NOT NULL CHECK (format IN ('camt', 'mt940', 'ofx', 'csv')),
    name text NOT NULL,
    content bytea NOT NULL,
    actor text NOT NULL,
    imported_at timestamptz NOT NULL
);
COMMENT ON COLUMN bank_files.digest IS 'SHA-256 of the content: the same file is there once';
CREATE TRIGGER bank_files_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON bank_files
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE bank_lines (
    line_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id bigint NOT NULL REFERENCES bank_files,
    line integer NOT NULL CHECK (line > 0),
    place text NOT NULL,
    identity bytea NOT NULL CHECK (octet_length(identity) = 32),
    booked_on date NOT NULL,
    amount_micros bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    payer text NOT NULL,
    payer_account text COLLATE "C" NOT NULL,
    reference text NOT NULL,
    text text NOT NULL,
    state text NOT NULL
        CHECK (state IN ('new', 'paired', 'pending', 'ignored', 'duplicate', 'error')),
    reason text NOT NULL DEFAULT '',
    score smallint CHECK (score BETWEEN 0 AND 100),
    account_id text COLLATE "C" REFERENCES customer_billing_accounts,
    payment_id bigint UNIQUE REFERENCES payments,
    pairings integer NOT NULL DEFAULT 0 CHECK (pairings >= 0),
    decided_by text,
    decided_at timestamptz,
    UNIQUE (file_id, line),
    CHECK ((state = 'paired') = (payment_id IS NOT NULL))
);
COMMENT ON COLUMN bank_lines.identity IS
    'SHA-256 of what makes it the same line in another file (billing.reconciliation.statement)';
COMMENT ON COLUMN bank_lines.pairings IS 'how often it was paired; the next payment''s reference';
-- A line is money once, in however many files it stands.
CREATE UNIQUE INDEX bank_lines_once ON bank_lines (identity)
    WHERE state NOT IN ('pending', 'duplicate');
CREATE INDEX bank_lines_state ON bank_lines (state, line_id);
CREATE INDEX bank_lines_payer ON bank_lines (payer_account)
    WHERE state = 'paired' AND payer_account <> '';
CREATE TRIGGER audit AFTER UPDATE OR DELETE ON bank_lines
    FOR EACH ROW EXECUTE FUNCTION audit_change('line_id', '-', 'payer', 'payer_account', 'reference', 'text');

-- What payers write is compared by its letters and digits alone.
CREATE FUNCTION plain_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN upper(regexp_replace(name, '[^A-Za-z0-9]', '', 'g'));
CREATE INDEX invoices_plain_number ON invoices (plain_name(number)) WHERE number IS NOT NULL;
CREATE INDEX accounts_plain_id ON customer_billing_accounts (plain_name(account_id));
CREATE INDEX invoices_left ON invoices (
    currency, (total_micros - paid_micros - offset_micros)) WHERE status = 'open';
CREATE INDEX customer_details_name ON customer_details (lower(details ->> 'name'));
CREATE INDEX customer_details_company ON customer_details (lower(details ->> 'company'));
