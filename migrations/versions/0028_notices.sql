-- Allowances that came to a threshold of their plan: who is to be told of it.

CREATE TABLE allowance_notices (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    plan text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL,
    allowance text NOT NULL,
    owner text COLLATE "C" NOT NULL,
    since timestamptz NOT NULL,
    unit text NOT NULL,
    amount bigint NOT NULL,
    threshold bigint NOT NULL,
    remaining bigint NOT NULL,
    noticed_at timestamptz NOT NULL,
    UNIQUE (account_id, plan, allowance, owner, since, threshold)
);
COMMENT ON TABLE allowance_notices IS
    'thresholds of allowances that were crossed, once in a period of the allowance (from since on)';
COMMENT ON COLUMN allowance_notices.username IS 'whose usage crossed it';
COMMENT ON COLUMN allowance_notices.owner IS 'whose allowance it is; empty: the whole account''s';
