-- A subscriber that is suspended logs in no more, whatever its account's status.
ALTER TABLE subscribers ADD COLUMN suspended boolean NOT NULL DEFAULT false;

ALTER TABLE accounting_sessions DROP CONSTRAINT accounting_sessions_close_reason_check;
ALTER TABLE accounting_sessions ADD CONSTRAINT accounting_sessions_close_reason_check
    CHECK (close_reason IN ('stop', 'lost', 'nas_down', 'restarted', 'plan_changed'));
