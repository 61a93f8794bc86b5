-- What staff search transactions by, newest first, in pages.
CREATE INDEX billing_transactions_kind ON billing_transactions (kind, transaction_id);
CREATE INDEX billing_transactions_posted ON billing_transactions (posted_at);
