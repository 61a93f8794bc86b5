-- Jobs of before were all cuts, and so are those that processes of before still write.
ALTER TABLE enforcement_events ADD COLUMN action text NOT NULL DEFAULT 'cut';
