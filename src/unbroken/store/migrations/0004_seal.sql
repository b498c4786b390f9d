-- Which keys the database was written with (a keyed hash), where processes with data directories of their own share it.
CREATE TABLE seal (
    only_row BIGINT NOT NULL,
    keys_digest BYTEA NOT NULL,
    is_lab BOOLEAN NOT NULL,
    CONSTRAINT seal_key PRIMARY KEY (only_row),
    CONSTRAINT seal_is_one CHECK (only_row = 1)
);
