-- Requests over HTTP that were done under an Idempotency-Key, and what was answered.

CREATE TABLE http_requests (
    token_hash bytea NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL,
    status smallint,
    answer bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (token_hash, idempotency_key)
);
CREATE INDEX http_requests_age ON http_requests (created_at);
COMMENT ON COLUMN http_requests.status IS
    'written in the transaction of what the request did: NULL is never seen by another';
