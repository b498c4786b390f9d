-- What each process has lately allowed of the callers that are near a limit, by keyed hashes, for the others to count.
CREATE TABLE limit_uses (
    holder TEXT NOT NULL,
    beats BIGINT NOT NULL,
    counts BYTEA NOT NULL,
    CONSTRAINT limit_uses_pk PRIMARY KEY (holder)
);
