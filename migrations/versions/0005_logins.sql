-- Logins: how a password is kept, what a subscriber may do, and what its NAS is known to send.
ALTER TABLE subscribers
    ADD COLUMN password_kind text NOT NULL DEFAULT 'clear'
        CHECK (password_kind IN ('clear', 'argon2id', 'nt')),
    ADD COLUMN session_limit integer CHECK (session_limit >= 1),
    ADD COLUMN when_full text NOT NULL DEFAULT 'refuse' CHECK (when_full IN ('refuse', 'replace')),
    ADD COLUMN calling_station text COLLATE "C",
    ADD COLUMN nas text COLLATE "C",
    ADD COLUMN framed_pool text COLLATE "C",
    ADD COLUMN framed_ip inet;
COMMENT ON COLUMN subscribers.password_kind IS
    'clear: sealed as it is, for every way to log in; nt: sealed NT hash, for PAP and MS-CHAPv2;'
    ' argon2id: its hash, sealed, for PAP only';
COMMENT ON COLUMN subscribers.session_limit IS 'NULL: as many sessions at once as it likes';
COMMENT ON COLUMN subscribers.when_full IS
    'what a login beyond session_limit does: it is refused, or replaces the oldest session';
COMMENT ON COLUMN subscribers.nas IS 'the NAS client that it is bound to; NULL: any';

ALTER TABLE nas_clients
    ADD COLUMN coa_bind inet,
    ADD COLUMN signs_logins boolean;
COMMENT ON COLUMN nas_clients.coa_bind IS
    'the local address that Disconnect- and CoA-Requests leave from; NULL: as the routes choose';
COMMENT ON COLUMN nas_clients.signs_logins IS
    'whether its Access-Requests must have a Message-Authenticator; NULL: as its vendor''s profile says';
