-- The time that deleting goes by, and since when, and until when, the clock has said another (domain/reckoning.py).
CREATE TABLE reckoning (
    only_row BIGINT NOT NULL,
    at BIGINT NOT NULL,
    away_from BIGINT,
    away_to BIGINT,
    CONSTRAINT reckoning_key PRIMARY KEY (only_row),
    CONSTRAINT reckoning_is_one CHECK (only_row = 1)
);
INSERT INTO reckoning (only_row, at) VALUES (1, 0);
