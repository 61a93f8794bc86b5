-- Invoices: entities that issue them, the numbers they take, their lines, and the settled charges
-- behind those. What is finalized never changes: the triggers at the end see to it, whoever writes.

CREATE TABLE billing_entities (
    entity text COLLATE "C" PRIMARY KEY,
    definition jsonb NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON COLUMN billing_entities.definition IS 'billing.entities.entity.Entity';

-- Which kinds there are is billing.ledger.transaction.Kind's to say.
ALTER TABLE billing_transactions DROP CONSTRAINT IF EXISTS billing_transactions_kind_check;
ALTER TABLE billing_transactions ADD CONSTRAINT billing_transactions_kind_check
    CHECK (kind ~ '^[a-z][a-z_]{0,31}$');

CREATE TABLE number_series (
    entity text COLLATE "C" NOT NULL REFERENCES billing_entities,
    series text NOT NULL CHECK (series IN ('invoice', 'credit_note', 'proforma', 'statement')),
    year smallint NOT NULL CHECK (year BETWEEN 2000 AND 9999),
    continues_from bigint NOT NULL CHECK (continues_from >= 0),
    last_number bigint NOT NULL CHECK (last_number >= continues_from),
    last_on date,
    PRIMARY KEY (entity, series, year)
);
COMMENT ON TABLE number_series IS
    'the numbers of a year: those after continues_from up to last_number are taken, without a gap';
COMMENT ON COLUMN number_series.last_on IS 'the date of last_number; a later number has no earlier one';

CREATE TABLE invoices (
    invoice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('invoice', 'consumption', 'topup', 'proforma', 'statement')),
    status text NOT NULL DEFAULT 'draft'
        CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    revision integer NOT NULL DEFAULT 1,
    entity text COLLATE "C" NOT NULL REFERENCES billing_entities,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    currency text COLLATE "C" NOT NULL,
    language text NOT NULL,
    reference text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    period_from date,
    period_until date CHECK (period_until > period_from),
    tax_point date,
    payment_days smallint NOT NULL CHECK (payment_days BETWEEN 0 AND 365),
    tax_rounding text NOT NULL CHECK (tax_rounding IN ('document', 'line')),
    replaces bigint REFERENCES invoices,
    discount_micros bigint NOT NULL CHECK (discount_micros >= 0),
    net_micros bigint NOT NULL,
    tax_micros bigint NOT NULL,
    total_micros bigint NOT NULL CHECK (total_micros = net_micros + tax_micros),
    series text,
    series_year smallint,
    series_number bigint,
    number text COLLATE "C",
    issued_on date,
    due_on date,
    seller jsonb,
    buyer jsonb,
    transaction_id bigint REFERENCES billing_transactions,
    paid_micros bigint NOT NULL DEFAULT 0 CHECK (paid_micros >= 0),
    credited_micros bigint NOT NULL DEFAULT 0 CHECK (credited_micros >= 0),
    offset_micros bigint NOT NULL DEFAULT 0 CHECK (offset_micros BETWEEN 0 AND credited_micros),
    written_off_micros bigint NOT NULL DEFAULT 0 CHECK (written_off_micros >= 0),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    finalized_at timestamptz,
    sent_at timestamptz,
    paid_at timestamptz,
    voided_at timestamptz,
    uncollectible_at timestamptz,
    UNIQUE (entity, series, series_year, series_number),
    CONSTRAINT finalized_whole CHECK (
        num_nulls(series, series_year, series_number, number, issued_on, due_on)
            = CASE WHEN finalized_at IS NULL THEN 6 ELSE 0 END),
    CONSTRAINT finalized_frozen CHECK (
        finalized_at IS NULL OR num_nulls(tax_point, seller, buyer) = 0),
    CONSTRAINT draft_until_finalized CHECK ((status = 'draft') = (finalized_at IS NULL)),
    CONSTRAINT never_below_zero CHECK (status = 'draft' OR (total_micros >= 0
        AND paid_micros + offset_micros + written_off_micros <= total_micros
        AND credited_micros <= total_micros)),
    CONSTRAINT paid_in_full CHECK (status <> 'paid' OR paid_micros + offset_micros = total_micros),
    CONSTRAINT void_is_untouched CHECK (status <> 'void' OR (paid_micros = 0 AND credited_micros = 0))
);
COMMENT ON COLUMN invoices.offset_micros IS
    'what credit notes took off what was still to be paid; the rest of credited_micros was given back';
CREATE INDEX invoices_account ON invoices (account_id, invoice_id);
CREATE INDEX invoices_number ON invoices (number);
CREATE INDEX invoices_issued ON invoices (issued_on, invoice_id);
CREATE INDEX invoices_unpaid ON invoices (due_on, invoice_id) WHERE status = 'open';
CREATE INDEX invoices_drafts ON invoices (invoice_id) WHERE status = 'draft';

CREATE TABLE invoice_items (
    invoice_id bigint NOT NULL REFERENCES invoices ON DELETE CASCADE,
    line smallint NOT NULL CHECK (line > 0),
    kind text NOT NULL CHECK (kind IN
        ('recurring', 'one-off', 'usage', 'minimum', 'fee', 'topup', 'credit')),
    description text NOT NULL,
    service_from date,
    service_until date CHECK (service_until > service_from),
    quantity_micros bigint NOT NULL,
    unit text COLLATE "C" NOT NULL,
    unit_price_micros bigint NOT NULL,
    amount_micros bigint NOT NULL,
    discount_micros bigint NOT NULL CHECK (discount_micros >= 0),
    discount_reason text NOT NULL,
    inclusive boolean NOT NULL,
    charged boolean NOT NULL,
    plan text COLLATE "C",
    tax_category text COLLATE "C",
    usage jsonb,
    net_micros bigint NOT NULL,
    tax_micros bigint NOT NULL,
    taxes jsonb NOT NULL,
    PRIMARY KEY (invoice_id, line),
    CONSTRAINT line_adds_up CHECK (amount_micros - discount_micros
        = net_micros + CASE WHEN inclusive THEN tax_micros ELSE 0 END)
);
COMMENT ON COLUMN invoice_items.charged IS
    'the money moved before (settled usage, a fee taken from credit): the document only says so';
COMMENT ON COLUMN invoice_items.taxes IS 'billing.invoices.line.LineTax, in the order applied';

CREATE TABLE invoice_taxes (
    invoice_id bigint NOT NULL REFERENCES invoices ON DELETE CASCADE,
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
    PRIMARY KEY (invoice_id, place)
);

-- The settled charges of an account, cut into ranges by time of settlement: since (included) to until
-- (not). A range begins where another one ended, and only one does; so no charge is in two of them,
-- and none before the last range is in none. (Charge sequences begin anew with each generation of
-- the store's books; times of settlement never go back.)
CREATE TABLE charge_ranges (
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (since < until),
    before timestamptz GENERATED ALWAYS AS (nullif(since, to_timestamp(0))) STORED,
    charged_micros bigint NOT NULL,
    PRIMARY KEY (account_id, until),
    UNIQUE (account_id, since),
    FOREIGN KEY (account_id, before) REFERENCES charge_ranges (account_id, until)
);

-- The charges of a range by plan. All of one row stand on one line, or on none yet.
CREATE TABLE charge_shares (
    account_id text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    plan text COLLATE "C" NOT NULL,
    charged_micros bigint NOT NULL,
    sessions bigint NOT NULL,
    seconds bigint NOT NULL,
    octets_in numeric(24) NOT NULL,
    octets_out numeric(24) NOT NULL,
    first_on timestamptz NOT NULL,
    last_on timestamptz NOT NULL,
    invoice_id bigint,
    line smallint,
    PRIMARY KEY (account_id, until, plan),
    FOREIGN KEY (account_id, until) REFERENCES charge_ranges,
    FOREIGN KEY (invoice_id, line) REFERENCES invoice_items DEFERRABLE INITIALLY DEFERRED,
    CHECK ((invoice_id IS NULL) = (line IS NULL))
);
CREATE INDEX charge_shares_unbilled ON charge_shares (account_id) WHERE invoice_id IS NULL;
CREATE INDEX charge_shares_line ON charge_shares (invoice_id, line) WHERE invoice_id IS NOT NULL;

-- What keeps it all so ---------------------------------------------------------------------------

CREATE FUNCTION refuse_invoice_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free CONSTANT text[] := ARRAY['status', 'paid_micros', 'credited_micros', 'offset_micros',
        'written_off_micros', 'changed_at', 'sent_at', 'paid_at', 'voided_at', 'uncollectible_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'draft' THEN
            RAISE EXCEPTION 'invoice % is finalized: void it, or credit it', OLD.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.status = 'draft' THEN
        IF NEW.status NOT IN ('draft', 'open', 'paid') THEN
            RAISE EXCEPTION 'a draft cannot become %', NEW.status
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF to_jsonb(OLD) - free IS DISTINCT FROM to_jsonb(NEW) - free THEN
        RAISE EXCEPTION 'invoice % is finalized: correct it by a credit note', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.status, NEW.status) NOT IN (('open', 'open'), ('paid', 'paid'), ('void', 'void'),
            ('uncollectible', 'uncollectible'), ('open', 'paid'), ('open', 'void'),
            ('open', 'uncollectible'), ('uncollectible', 'paid'), ('paid', 'open'))
            AND NOT (OLD.status = 'paid' AND NEW.status = 'void'
                AND OLD.kind IN ('consumption', 'topup', 'statement')) THEN
        RAISE EXCEPTION 'invoice % is %, and cannot become %', OLD.number, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER invoices_keep BEFORE UPDATE OR DELETE ON invoices
    FOR EACH ROW EXECUTE FUNCTION refuse_invoice_change();

CREATE FUNCTION refuse_wrong_totals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT changed.number INTO wrong
    FROM changed JOIN earlier USING (invoice_id), LATERAL (
        SELECT coalesce(sum(net_micros), 0) AS net, coalesce(sum(tax_micros), 0) AS tax,
            coalesce(sum(discount_micros), 0) AS discount
        FROM invoice_items AS item WHERE item.invoice_id = changed.invoice_id) AS lines
    WHERE earlier.status = 'draft' AND changed.status <> 'draft'
        AND (changed.net_micros, changed.tax_micros, changed.discount_micros)
            <> (lines.net, lines.tax, lines.discount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % is not the sum of its lines', wrong.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_total AFTER UPDATE ON invoices
    REFERENCING OLD TABLE AS earlier NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_wrong_totals();

-- For the tables of lines; `touched` are their rows before or after.
CREATE FUNCTION refuse_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT number INTO wrong FROM touched JOIN invoices USING (invoice_id)
    WHERE status <> 'draft' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % is finalized: its lines never change', wrong.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_items_insert AFTER INSERT ON invoice_items REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_change();
CREATE TRIGGER invoice_items_update AFTER UPDATE ON invoice_items REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_change();
CREATE TRIGGER invoice_items_delete AFTER DELETE ON invoice_items REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_change();
CREATE TRIGGER invoice_taxes_insert AFTER INSERT ON invoice_taxes REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_change();
CREATE TRIGGER invoice_taxes_update AFTER UPDATE ON invoice_taxes REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_change();
CREATE TRIGGER invoice_taxes_delete AFTER DELETE ON invoice_taxes REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_line_change();

CREATE TRIGGER charge_ranges_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON charge_ranges
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_number_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last_number < OLD.last_number OR NEW.continues_from <> OLD.continues_from THEN
        RAISE EXCEPTION 'the numbers of % % % only go on', OLD.entity, OLD.series, OLD.year
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER number_series_keep BEFORE UPDATE ON number_series
    FOR EACH ROW EXECUTE FUNCTION refuse_number_back();
