-- Credit notes that were voided; they themselves never change.
CREATE TABLE credit_note_voids (
    credit_note_id bigint PRIMARY KEY REFERENCES credit_notes,
    reason text NOT NULL CHECK (reason <> ''),
    actor text NOT NULL,
    transaction_id bigint NOT NULL REFERENCES billing_transactions,
    voided_at timestamptz NOT NULL
);
CREATE TRIGGER credit_note_voids_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note_voids
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
