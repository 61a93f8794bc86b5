-- An account may be billed twice on a day by one run, if a service changes meanwhile.
ALTER TABLE billing_run_outcomes DROP CONSTRAINT billing_run_outcomes_pkey;
ALTER TABLE billing_run_outcomes
    ADD COLUMN outcome_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
CREATE INDEX billing_run_outcomes_run ON billing_run_outcomes (run_id, outcome_id);
CREATE INDEX billing_run_outcomes_account ON billing_run_outcomes (account_id);
