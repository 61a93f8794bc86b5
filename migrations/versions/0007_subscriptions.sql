-- Subscriptions and billing cycles: what is sold as a service, who has it, what was billed for it.
--
-- Days are local dates in the account's time zone, and periods half-open: the end is the first day
-- that is not in it. Money is bigint micros.

CREATE TABLE offers (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);
COMMENT ON COLUMN offers.definition IS 'billing.offers.offer.Offer; a version never changes';

CREATE TABLE services (
    service_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    username text COLLATE "C",
    description text NOT NULL,
    ordered_offer text COLLATE "C" NOT NULL,
    ordered_quantity integer NOT NULL CHECK (ordered_quantity > 0),
    activates_by_use boolean NOT NULL,
    cancelled_on date,
    provisioned_until date,
    created_at timestamptz NOT NULL
);
CREATE INDEX services_account ON services (account_id);
CREATE UNIQUE INDEX services_username ON services (username) WHERE cancelled_on IS NULL;
COMMENT ON COLUMN services.username IS 'the subscriber whose usage and access it is; NULL: none';
COMMENT ON COLUMN services.activates_by_use IS 'billing begins on the day of its first session';
COMMENT ON COLUMN services.provisioned_until IS
    'the next local day on which what the subscriber may do changes; NULL: none is known';

CREATE TABLE service_terms (
    service_id bigint NOT NULL REFERENCES services,
    starts_on date NOT NULL,
    ends_on date,
    offer text COLLATE "C" NOT NULL,
    offer_version integer NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (service_id, starts_on),
    FOREIGN KEY (offer, offer_version) REFERENCES offers,
    CHECK (ends_on > starts_on),
    CONSTRAINT service_terms_apart EXCLUDE USING gist (
        int8range(service_id, service_id, '[]') WITH &&, daterange(starts_on, ends_on) WITH &&
    ) DEFERRABLE
);
COMMENT ON TABLE service_terms IS
    'which offer a service is on, when; between two terms it is paused. billing.cycles bills from it';

CREATE TABLE service_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id bigint NOT NULL REFERENCES services,
    at timestamptz NOT NULL,
    event text NOT NULL CHECK (
        event IN ('ordered', 'started', 'changed', 'paused', 'resumed', 'cancelled')
    ),
    effective_on date,
    offer text COLLATE "C",
    reason text NOT NULL,
    actor text NOT NULL
);
CREATE INDEX service_events_service ON service_events (service_id);
CREATE TRIGGER service_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON service_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Discounts -------------------------------------------------------------------------------------

CREATE TABLE coupons (
    code text COLLATE "C" PRIMARY KEY CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    description text NOT NULL,
    terms jsonb NOT NULL,
    valid_from date,
    valid_until date,
    promotion boolean NOT NULL,
    most_redemptions integer CHECK (most_redemptions > 0),
    redemptions integer NOT NULL DEFAULT 0 CHECK (redemptions <= most_redemptions),
    withdrawn_at timestamptz,
    created_at timestamptz NOT NULL
);
COMMENT ON COLUMN coupons.terms IS 'billing.coupons.discount.Terms';
COMMENT ON COLUMN coupons.promotion IS
    'given by itself to each account that starts a service in its scope while it is valid';
COMMENT ON COLUMN coupons.valid_until IS 'the first day on which it cannot be redeemed any more';

CREATE TABLE coupon_redemptions (
    redemption_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text COLLATE "C" NOT NULL REFERENCES coupons,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    redeemed_at timestamptz NOT NULL,
    actor text NOT NULL,
    ended_at timestamptz,
    UNIQUE (code, account_id)
);
CREATE INDEX coupon_redemptions_account ON coupon_redemptions (account_id);

CREATE TABLE coupon_uses (
    redemption_id bigint NOT NULL REFERENCES coupon_redemptions,
    cycle_starts_on date NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    PRIMARY KEY (redemption_id, cycle_starts_on)
);
COMMENT ON TABLE coupon_uses IS 'what was taken off in each billing cycle in which something was';

-- Billing cycles --------------------------------------------------------------------------------

CREATE TABLE billing_schedules (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES customer_billing_accounts,
    calendar jsonb NOT NULL,
    alignment text NOT NULL CHECK (alignment IN ('calendar', 'anniversary')),
    billed_until date,
    changed_since date,
    next_bill_on date,
    next_bill_at timestamptz,
    review_days integer NOT NULL DEFAULT 0 CHECK (review_days BETWEEN 0 AND 30),
    needs_approval boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80);
CREATE INDEX billing_schedules_due ON billing_schedules (next_bill_at, account_id)
    WHERE next_bill_at IS NOT NULL;
COMMENT ON COLUMN billing_schedules.calendar IS 'billing.cycles.calendar.Calendar';
COMMENT ON COLUMN billing_schedules.billed_until IS 'the last local day for which a bill was made';
COMMENT ON COLUMN billing_schedules.changed_since IS
    'the first day on which services are not as they were when the last bill was made';
COMMENT ON COLUMN billing_schedules.next_bill_at IS
    'when next_bill_on begins in the account''s zone; NULL: there is nothing to bill';
COMMENT ON COLUMN billing_schedules.review_days IS
    'for how long an invoice stays a draft before it is finalized by itself';

CREATE TABLE billing_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    account_id text COLLATE "C",
    actor text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    approved_at timestamptz,
    approved_by text,
    accounts_due bigint NOT NULL
);
COMMENT ON COLUMN billing_runs.at IS 'accounts whose bill is due at this moment are billed';
COMMENT ON COLUMN billing_runs.account_id IS 'of this account only; NULL: of all that are due';

CREATE TABLE billing_run_outcomes (
    run_id bigint NOT NULL REFERENCES billing_runs,
    account_id text COLLATE "C" NOT NULL,
    bill_on date NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('billed', 'nothing', 'parked')),
    currency text COLLATE "C" NOT NULL,
    items integer NOT NULL,
    amount_micros bigint NOT NULL,
    invoice_id bigint,
    detail text NOT NULL,
    PRIMARY KEY (run_id, account_id, bill_on)
);
COMMENT ON COLUMN billing_run_outcomes.amount_micros IS 'of the items less their discounts, without tax';

CREATE TABLE billing_cycles (
    cycle_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    starts_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on > starts_on),
    run_id bigint NOT NULL REFERENCES billing_runs,
    billed_at timestamptz NOT NULL,
    UNIQUE (account_id, starts_on),
    UNIQUE (account_id, ends_on)
);
COMMENT ON TABLE billing_cycles IS 'the periods of each account that were closed, each by one run';

CREATE TABLE billed_items (
    item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    service_id bigint REFERENCES services,
    run_id bigint NOT NULL REFERENCES billing_runs,
    bill_on date NOT NULL,
    charge text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('recurring', 'one-off', 'usage', 'minimum', 'fee')),
    offer text COLLATE "C" NOT NULL,
    description text NOT NULL,
    tax_category text COLLATE "C" NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on > starts_on),
    rate jsonb,
    amount_micros bigint NOT NULL,
    discount_micros bigint NOT NULL DEFAULT 0,
    credits_item bigint REFERENCES billed_items,
    invoice_id bigint,
    invoice_line smallint
);
CREATE INDEX billed_items_account ON billed_items (account_id, bill_on);
CREATE INDEX billed_items_credits ON billed_items (credits_item) WHERE credits_item IS NOT NULL;
COMMENT ON TABLE billed_items IS 'what bills were made of, before tax; a credit is negative';
COMMENT ON COLUMN billed_items.discount_micros IS 'taken off; of a credit, negative: it goes back';
CREATE TRIGGER billed_items_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billed_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE service_charges (
    charge_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id bigint NOT NULL REFERENCES services,
    charge text COLLATE "C" NOT NULL,
    UNIQUE (service_id, charge)
);

-- The days that each recurring charge was billed for and that were not credited: no day twice.
CREATE TABLE billed_days (
    item_id bigint NOT NULL REFERENCES billed_items,
    charge_id bigint NOT NULL REFERENCES service_charges,
    days daterange NOT NULL CHECK (NOT isempty(days)),
    CONSTRAINT billed_days_once EXCLUDE USING gist (
        int8range(charge_id, charge_id, '[]') WITH &&, days WITH &&
    )
);
CREATE INDEX billed_days_item ON billed_days (item_id);
CREATE INDEX billed_days_charge ON billed_days (charge_id);

CREATE TABLE account_parkings (
    parking_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    reason text NOT NULL,
    run_id bigint REFERENCES billing_runs,
    parked_at timestamptz NOT NULL,
    released_at timestamptz,
    released_by text,
    note text
);
CREATE UNIQUE INDEX account_parkings_one ON account_parkings (account_id)
    WHERE released_at IS NULL;
COMMENT ON TABLE account_parkings IS
    'accounts whose history contradicts itself: billed by nobody until they are released';

CREATE TABLE billing_clock (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    moment timestamptz NOT NULL
);
COMMENT ON TABLE billing_clock IS 'the time of the billing side in test mode; no row: the real one';

-- What an account owns, as the network sees it --------------------------------------------------

ALTER TABLE customer_billing_accounts ADD COLUMN IF NOT EXISTS
    time_zone text COLLATE "C" NOT NULL DEFAULT 'UTC';

ALTER TABLE subscribers ADD COLUMN served boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN subscribers.served IS 'false: its service is paused or cancelled, and the store does not know it';

CREATE TABLE account_throttles (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES customer_billing_accounts,
    plan text COLLATE "C" NOT NULL
);
COMMENT ON TABLE account_throttles IS
    'accounts whose subscribers are on this plan in the store, whatever they bought';
