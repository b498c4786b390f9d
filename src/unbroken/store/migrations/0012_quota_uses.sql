-- How many calls were let through in a day, of the keys and apps that have a quota.
CREATE TABLE quota_uses (
    caller BYTEA NOT NULL,
    day BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    CONSTRAINT quota_uses_pk PRIMARY KEY (caller, day)
);
