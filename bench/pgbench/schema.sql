-- What the scripts beside it run on: as few columns as a link needs.
CREATE TABLE users (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, external_id TEXT UNIQUE);
CREATE TABLE installs (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, is_active BOOLEAN NOT NULL);
CREATE UNIQUE INDEX one_active ON installs (user_id) WHERE is_active;
CREATE TABLE links (install_id BIGINT NOT NULL, user_id BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL);
CREATE TABLE payloads (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL);
INSERT INTO users (external_id) SELECT 'unlinked-' || n FROM generate_series(1, 200000) n;
INSERT INTO installs SELECT n, n, true FROM generate_series(1, 200000) n;
VACUUM ANALYZE;
