-- Who changed what: entries chained by keyed hashes, from 1 without a gap, that name people by keyed hashes only.
CREATE TABLE audit (
    position BIGINT NOT NULL,
    content BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT audit_key PRIMARY KEY (position)
);

-- A key that is being rotated ends when its successor has taken over.
ALTER TABLE api_keys ADD COLUMN rotated_at BIGINT;
ALTER TABLE api_keys ADD COLUMN successor BYTEA;

-- What was spent and shown again is told of once.
ALTER TABLE auth_codes ADD COLUMN is_reused BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE spent_credentials ADD COLUMN is_reused BOOLEAN NOT NULL DEFAULT FALSE;
