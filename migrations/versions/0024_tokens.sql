-- Tokens have a name for people, and may end by themselves.

ALTER TABLE api_tokens
    ADD COLUMN label text NOT NULL DEFAULT '' CHECK (length(label) <= 100),
    ADD COLUMN expires_at timestamptz;
COMMENT ON COLUMN api_tokens.expires_at IS 'NULL: it is valid until it is revoked';
