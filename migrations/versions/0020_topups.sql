-- Top-ups of prepaid accounts that get a tax document of their own, where the entity has it so.
CREATE TABLE topup_documents (
    transaction_id bigint PRIMARY KEY REFERENCES billing_transactions,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    received_at timestamptz NOT NULL,
    invoice_id bigint UNIQUE REFERENCES invoices,
    refusal text
);
CREATE INDEX topup_documents_waiting ON topup_documents (transaction_id) WHERE invoice_id IS NULL;
COMMENT ON COLUMN topup_documents.invoice_id IS 'NULL: it is to be made; refusal says why it was not';

-- What a void or deleted document had billed is looked for by it.
CREATE INDEX billed_items_invoice ON billed_items (invoice_id) WHERE invoice_id IS NOT NULL;
