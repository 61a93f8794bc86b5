-- Documents as files, and messages by which they are sent.

ALTER TABLE invoices ADD COLUMN applied_micros bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN invoices.applied_micros IS 'what credit had paid of it when it was finalized';

CREATE TABLE documents (
    document_kind text NOT NULL CHECK (document_kind IN ('invoice', 'credit_note', 'receipt')),
    document_id bigint NOT NULL,
    format text NOT NULL CHECK (format IN ('pdf', 'cii', 'ubl')),
    storage_key text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    octets bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (document_kind, document_id, format)
);
CREATE TRIGGER documents_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON documents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE mail_messages (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES customer_billing_accounts,
    kind text NOT NULL,
    entity text COLLATE "C" NOT NULL REFERENCES billing_entities,
    language text NOT NULL,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    document_kind text,
    document_id bigint,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    CHECK ((status = 'sent') = (sent_at IS NOT NULL)),
    CHECK ((document_kind IS NULL) = (document_id IS NULL))
);
CREATE INDEX mail_messages_account ON mail_messages (account_id, message_id);
CREATE INDEX mail_messages_document ON mail_messages (document_kind, document_id);
CREATE INDEX mail_messages_queued ON mail_messages (message_id) WHERE status = 'queued';
