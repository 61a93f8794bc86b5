-- What a coupon took off an invoice that is no more, it takes off again.

CREATE TABLE coupon_invoice_uses (
    invoice_id bigint NOT NULL,
    redemption_id bigint NOT NULL REFERENCES coupon_redemptions,
    cycle_starts_on date NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    released boolean NOT NULL DEFAULT false,
    PRIMARY KEY (invoice_id, redemption_id, cycle_starts_on)
);
COMMENT ON TABLE coupon_invoice_uses IS
    'the part of coupon_uses on each invoice; released: the invoice is no more, and it is not there';

-- An invoice with those that it replaces.
CREATE FUNCTION coupons_of_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone CONSTANT boolean := TG_OP <> 'INSERT';
    one CONSTANT invoices := CASE WHEN gone THEN OLD ELSE NEW END;
BEGIN
    WITH RECURSIVE chain AS (
        SELECT one.invoice_id AS invoice_id, one.replaces AS replaces
        UNION ALL
        SELECT before.invoice_id, before.replaces
        FROM chain JOIN invoices AS before ON before.invoice_id = chain.replaces
    ), changed AS (
        UPDATE coupon_invoice_uses SET released = gone
        WHERE released <> gone AND invoice_id IN (SELECT chain.invoice_id FROM chain)
        RETURNING redemption_id, cycle_starts_on, amount_micros
    ), sums AS (
        SELECT redemption_id, cycle_starts_on, sum(amount_micros)::bigint AS micros
        FROM changed GROUP BY redemption_id, cycle_starts_on
    ), taken_off_again AS (
        INSERT INTO coupon_uses AS before (redemption_id, cycle_starts_on, amount_micros)
        SELECT redemption_id, cycle_starts_on, micros FROM sums WHERE NOT gone
        ON CONFLICT (redemption_id, cycle_starts_on)
            DO UPDATE SET amount_micros = before.amount_micros + excluded.amount_micros
    ), less AS (
        UPDATE coupon_uses AS used SET amount_micros = amount_micros - micros FROM sums
        WHERE gone AND (used.redemption_id, used.cycle_starts_on)
            = (sums.redemption_id, sums.cycle_starts_on) AND amount_micros > micros
    )
    DELETE FROM coupon_uses AS used USING sums
    WHERE gone AND (used.redemption_id, used.cycle_starts_on)
        = (sums.redemption_id, sums.cycle_starts_on) AND amount_micros <= micros;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_coupons_draft AFTER DELETE ON invoices
    FOR EACH ROW EXECUTE FUNCTION coupons_of_invoice();
CREATE TRIGGER invoices_coupons_void AFTER UPDATE OF status ON invoices
    FOR EACH ROW WHEN (OLD.status <> 'void' AND NEW.status = 'void')
    EXECUTE FUNCTION coupons_of_invoice();
CREATE TRIGGER invoices_coupons_anew AFTER INSERT ON invoices
    FOR EACH ROW WHEN (NEW.replaces IS NOT NULL) EXECUTE FUNCTION coupons_of_invoice();
