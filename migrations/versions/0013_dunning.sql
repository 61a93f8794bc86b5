-- Dunning, payment plans, suspensions, and drafts that wait for their review.

CREATE TABLE suspensions (
    suspension_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    cause text NOT NULL CHECK (cause IN ('staff', 'dunning')),
    reason text NOT NULL,
    actor text NOT NULL,
    since timestamptz NOT NULL,
    lifted_at timestamptz,
    lifted_by text,
    lifted_reason text
);
CREATE UNIQUE INDEX suspensions_one ON suspensions (account_id, cause) WHERE lifted_at IS NULL;
CREATE INDEX suspensions_account ON suspensions (account_id, suspension_id);
COMMENT ON TABLE suspensions IS 'why accounts are suspended: until every cause of one is lifted';

CREATE TABLE dunning_campaigns (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);
COMMENT ON COLUMN dunning_campaigns.definition IS
    'billing.dunning.campaign.Campaign; a version never changes, and a process keeps its own';

CREATE TABLE dunning_default (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    campaign text COLLATE "C" NOT NULL
);
COMMENT ON TABLE dunning_default IS 'the campaign of accounts without one of their own; no row: none';

CREATE TABLE dunning_accounts (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES customer_billing_accounts,
    campaign text COLLATE "C",
    excluded boolean NOT NULL,
    reason text NOT NULL
);

CREATE TABLE dunning_processes (
    process_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    campaign text COLLATE "C" NOT NULL,
    campaign_version integer NOT NULL,
    currency text COLLATE "C" NOT NULL,
    since date NOT NULL,
    overdue_micros bigint NOT NULL,
    promised_until date,
    promise text,
    next_on date,
    opened_at timestamptz NOT NULL,
    ended_at timestamptz,
    ending text CHECK (ending IN ('cleared', 'excluded')),
    FOREIGN KEY (campaign, campaign_version) REFERENCES dunning_campaigns,
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE UNIQUE INDEX dunning_processes_one ON dunning_processes (account_id)
    WHERE ended_at IS NULL;
CREATE INDEX dunning_processes_account ON dunning_processes (account_id, process_id);
COMMENT ON COLUMN dunning_processes.since IS 'the day on which the oldest overdue debt was due';

-- Each step is taken once for a debt: after a payment that brought the dunning back, again.
CREATE TABLE dunning_steps (
    process_id bigint NOT NULL REFERENCES dunning_processes,
    since date NOT NULL,
    step smallint NOT NULL,
    action text NOT NULL,
    taken_on date NOT NULL,
    taken_at timestamptz NOT NULL,
    skipped boolean NOT NULL,
    holds boolean NOT NULL,
    invoice_id bigint,
    PRIMARY KEY (process_id, since, step)
);
COMMENT ON COLUMN dunning_steps.holds IS 'false: the debt that it was taken for is paid';

CREATE TABLE payment_plans (
    plan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    currency text COLLATE "C" NOT NULL,
    debt_micros bigint NOT NULL CHECK (debt_micros > 0),
    grace_days smallint NOT NULL CHECK (grace_days BETWEEN 0 AND 90),
    status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'completed', 'defaulted', 'cancelled')),
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((status = 'active') = (ended_at IS NULL))
);
CREATE INDEX payment_plans_account ON payment_plans (account_id);
CREATE INDEX payment_plans_active ON payment_plans (plan_id) WHERE status = 'active';

CREATE TABLE installments (
    plan_id bigint NOT NULL REFERENCES payment_plans,
    number smallint NOT NULL CHECK (number > 0),
    due_on date NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    PRIMARY KEY (plan_id, number)
);

CREATE TABLE payment_plan_invoices (
    plan_id bigint NOT NULL REFERENCES payment_plans,
    invoice_id bigint NOT NULL REFERENCES invoices,
    left_micros bigint NOT NULL CHECK (left_micros > 0),
    active boolean NOT NULL DEFAULT true,
    PRIMARY KEY (plan_id, invoice_id)
);
CREATE UNIQUE INDEX payment_plan_invoices_once ON payment_plan_invoices (invoice_id) WHERE active;
COMMENT ON TABLE payment_plan_invoices IS
    'what a plan is for; while it is active their own due dates do not count';

CREATE FUNCTION refuse_unequal_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT plan.plan_id, debt_micros,
        (SELECT sum(amount_micros) FROM installments AS i WHERE i.plan_id = plan.plan_id) AS parts
        INTO wrong FROM payment_plans AS plan WHERE plan.plan_id = NEW.plan_id;
    IF wrong.parts IS DISTINCT FROM wrong.debt_micros THEN
        RAISE EXCEPTION 'the instalments of plan % sum to %, and not to its debt of %',
            wrong.plan_id, wrong.parts, wrong.debt_micros
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER installments_sum AFTER INSERT OR UPDATE ON installments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unequal_plan();

CREATE TABLE draft_reviews (
    invoice_id bigint PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES billing_runs,
    finalize_at timestamptz,
    refusal text
);
CREATE INDEX draft_reviews_due ON draft_reviews (finalize_at) WHERE finalize_at IS NOT NULL;
CREATE INDEX draft_reviews_run ON draft_reviews (run_id);
COMMENT ON TABLE draft_reviews IS
    'drafts of billing runs that are not finalized yet: at finalize_at, or (NULL) once approved';

-- What is paid, credited or written off may end a dunning process or a payment plan: it is looked at
-- at once, by a queued job.
CREATE FUNCTION look_at_debt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM dunning_processes
            WHERE account_id = NEW.account_id AND ended_at IS NULL)
        OR EXISTS (SELECT FROM payment_plans
            WHERE account_id = NEW.account_id AND status = 'active') THEN
        -- Without a key: a job that runs already may have read what was before.
        INSERT INTO pgqueuer (priority, status, entrypoint, payload)
        VALUES (0, 'queued', 'debt', convert_to(NEW.account_id, 'UTF8'));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_debt AFTER UPDATE OF status, paid_micros, offset_micros, written_off_micros
    ON invoices FOR EACH ROW
    WHEN (OLD.status <> 'draft') EXECUTE FUNCTION look_at_debt();

-- A draft that is deleted, or an invoice that is voided, bills nothing: its days are to be billed
-- again, unless another document takes its place.
CREATE TABLE unbilled_days (
    invoice_id bigint NOT NULL,
    item_id bigint NOT NULL REFERENCES billed_items,
    charge_id bigint NOT NULL REFERENCES service_charges,
    days daterange NOT NULL
);
CREATE INDEX unbilled_days_invoice ON unbilled_days (invoice_id);
COMMENT ON TABLE unbilled_days IS
    'what documents that are no more had billed, in case that they are issued anew';

CREATE FUNCTION unbill() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first date;
BEGIN
    WITH RECURSIVE chain AS (
        SELECT OLD.invoice_id AS invoice_id, OLD.replaces AS replaces
        UNION ALL
        SELECT before.invoice_id, before.replaces
        FROM chain JOIN invoices AS before ON before.invoice_id = chain.replaces
    ), gone AS (
        DELETE FROM billed_days USING billed_items AS item
        WHERE billed_days.item_id = item.item_id
            AND item.invoice_id IN (SELECT chain.invoice_id FROM chain)
        RETURNING billed_days.item_id, charge_id, days
    ), kept AS (
        INSERT INTO unbilled_days SELECT OLD.invoice_id, gone.* FROM gone
    )
    SELECT min(lower(days)) INTO first FROM gone;
    IF first IS NOT NULL THEN
        UPDATE billing_schedules SET changed_since = least(changed_since, first)
        WHERE account_id = OLD.account_id;
    END IF;
    DELETE FROM draft_reviews WHERE invoice_id = OLD.invoice_id;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_unbill_draft AFTER DELETE ON invoices
    FOR EACH ROW EXECUTE FUNCTION unbill();
CREATE TRIGGER invoices_unbill_void AFTER UPDATE OF status ON invoices
    FOR EACH ROW WHEN (OLD.status <> 'void' AND NEW.status = 'void') EXECUTE FUNCTION unbill();

CREATE FUNCTION bill_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH back AS (
        DELETE FROM unbilled_days WHERE invoice_id = NEW.replaces
        RETURNING item_id, charge_id, days
    ) INSERT INTO billed_days SELECT * FROM back;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_bill_anew AFTER INSERT ON invoices
    FOR EACH ROW WHEN (NEW.replaces IS NOT NULL) EXECUTE FUNCTION bill_anew();
