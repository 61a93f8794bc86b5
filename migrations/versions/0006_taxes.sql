-- Tax rates: dated, by jurisdiction and category. A rate holds until the next one of the same key
-- begins, so no two can hold at once. Documents keep what was applied to them.

CREATE TABLE tax_rates (
    jurisdiction text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    tax text COLLATE "C" NOT NULL,
    valid_from date NOT NULL,
    ppm integer NOT NULL CHECK (ppm BETWEEN 0 AND 1000000),
    valid_until date CHECK (valid_until > valid_from),
    place smallint NOT NULL CHECK (place BETWEEN 1 AND 9),
    compound boolean NOT NULL,
    code text NOT NULL CHECK (code IN ('S', 'Z', 'E', 'O')),
    reason text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (jurisdiction, category, tax, valid_from)
);
COMMENT ON COLUMN tax_rates.ppm IS 'parts per million: 19 % is 190000';
COMMENT ON COLUMN tax_rates.compound IS 'also on the taxes before it on the line (by place)';
