-- Acct-Terminate-Cause has 32 bits without a sign (RFC 2866, section 5.10): a NAS that sends one of
-- 2^31 or more must not have the end of its session parked.
ALTER TABLE accounting_sessions ALTER COLUMN terminate_cause TYPE bigint;
