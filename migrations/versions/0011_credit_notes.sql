-- Credit notes: of finalized documents, final from the beginning.

CREATE TABLE credit_notes (
    credit_note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id bigint NOT NULL REFERENCES invoices,
    entity text COLLATE "C" NOT NULL REFERENCES billing_entities,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    currency text COLLATE "C" NOT NULL,
    language text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    series_year smallint NOT NULL,
    series_number bigint NOT NULL,
    number text COLLATE "C" NOT NULL,
    issued_on date NOT NULL,
    net_micros bigint NOT NULL,
    tax_micros bigint NOT NULL,
    total_micros bigint NOT NULL CHECK (total_micros > 0 AND total_micros = net_micros + tax_micros),
    offset_micros bigint NOT NULL CHECK (offset_micros >= 0),
    credit_micros bigint NOT NULL CHECK (credit_micros >= 0),
    refund_micros bigint NOT NULL CHECK (refund_micros >= 0),
    seller jsonb NOT NULL,
    buyer jsonb NOT NULL,
    transaction_id bigint NOT NULL REFERENCES billing_transactions,
    created_at timestamptz NOT NULL,
    UNIQUE (entity, series_year, series_number),
    CHECK (total_micros = offset_micros + credit_micros + refund_micros)
);
CREATE INDEX credit_notes_invoice ON credit_notes (invoice_id);
CREATE INDEX credit_notes_account ON credit_notes (account_id, credit_note_id);
CREATE INDEX credit_notes_issued ON credit_notes (issued_on);

CREATE TABLE credit_note_items (
    credit_note_id bigint NOT NULL REFERENCES credit_notes DEFERRABLE INITIALLY DEFERRED,
    line smallint NOT NULL CHECK (line > 0),
    invoice_id bigint NOT NULL,
    invoice_line smallint NOT NULL,
    description text NOT NULL,
    net_micros bigint NOT NULL,
    tax_micros bigint NOT NULL,
    taxes jsonb NOT NULL,
    PRIMARY KEY (credit_note_id, line),
    FOREIGN KEY (invoice_id, invoice_line) REFERENCES invoice_items
);
CREATE INDEX credit_note_items_invoice ON credit_note_items (invoice_id);

CREATE TABLE credit_note_taxes (
    credit_note_id bigint NOT NULL REFERENCES credit_notes DEFERRABLE INITIALLY DEFERRED,
    place smallint NOT NULL,
    tax text NOT NULL,
    jurisdiction text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    ppm integer NOT NULL,
    compound boolean NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    base_micros bigint NOT NULL,
    tax_micros bigint NOT NULL,
    PRIMARY KEY (credit_note_id, place)
);

CREATE TRIGGER credit_notes_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_notes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_note_items_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_note_taxes_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note_taxes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
