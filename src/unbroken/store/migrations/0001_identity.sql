-- Who is who. Times are epoch milliseconds, ids 12 bytes, JSON is text. Secrets are kept as keyed digests only.

CREATE TABLE apps (
    app_id BYTEA NOT NULL,
    name TEXT NOT NULL,
    is_disabled BOOLEAN NOT NULL,
    secret_digest BYTEA NOT NULL,
    policy TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT apps_key PRIMARY KEY (app_id)
) {without_rowid};

CREATE TABLE api_keys (
    key_id BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    last_used_at BIGINT,
    CONSTRAINT api_keys_key PRIMARY KEY (key_id)
) {without_rowid};
CREATE INDEX api_keys_of_app ON api_keys (app_id);

-- The ledger. Append-only, but for erasure.
CREATE TABLE facts (
    position {identity},
    app_id BYTEA NOT NULL,
    fact_id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    install_id BYTEA,
    user_id BYTEA,
    external_id TEXT,
    fields TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    subject BYTEA,
    is_hidden BOOLEAN NOT NULL
);
CREATE INDEX facts_by_id ON facts (fact_id);
CREATE INDEX facts_of_install ON facts (install_id) WHERE install_id IS NOT NULL;
CREATE INDEX facts_of_user ON facts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX facts_of_external_id ON facts (app_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX facts_of_subject ON facts (subject) WHERE subject IS NOT NULL;
CREATE INDEX facts_of_policy ON facts (app_id) WHERE kind = 'policy changed';

-- What an undo answered the first time.
CREATE TABLE undo_answers (
    subject BYTEA NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT undo_answers_key PRIMARY KEY (subject)
);

-- What a link was decided on; names nobody.
CREATE TABLE traces (
    fact_id BYTEA NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT traces_key PRIMARY KEY (fact_id)
);

-- The last link calls of an install that were refused, and on what; names nobody else.
CREATE TABLE refused_links (
    install_id BYTEA NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT refused_links_key PRIMARY KEY (install_id, number)
) {without_rowid};

-- What follows from the ledger.
CREATE TABLE installs (
    install_id BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    own_user BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    form TEXT NOT NULL,
    registered_at BIGINT NOT NULL,
    place BIGINT NOT NULL,
    named_at BIGINT NOT NULL,
    link BYTEA,
    external_id TEXT,
    linked_at BIGINT,
    standing TEXT NOT NULL,
    is_disabled BOOLEAN NOT NULL,
    used BOOLEAN NOT NULL,
    device TEXT NOT NULL,
    credential_digest BYTEA NOT NULL,
    credential_key TEXT,
    kept_from BIGINT NOT NULL DEFAULT 0, -- payloads received before it are gone
    CONSTRAINT installs_key PRIMARY KEY (install_id)
);
CREATE INDEX installs_of_user ON installs (user_id, registered_at);

CREATE TABLE users (
    user_id BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    named_at BIGINT NOT NULL,
    touched_at BIGINT NOT NULL,
    external_id TEXT,
    holder BYTEA,
    is_disabled BOOLEAN NOT NULL,
    redirect BYTEA,
    metadata TEXT NOT NULL,
    CONSTRAINT users_key PRIMARY KEY (user_id)
) {without_rowid};
CREATE INDEX users_retired ON users (redirect) WHERE redirect IS NOT NULL;

CREATE TABLE carriers (
    app_id BYTEA NOT NULL,
    external_id TEXT NOT NULL,
    user_id BYTEA NOT NULL,
    CONSTRAINT one_user_per_account PRIMARY KEY (app_id, external_id)
) {without_rowid};
CREATE INDEX carriers_by_user ON carriers (user_id);

CREATE TABLE spans (
    install_id BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT,
    cause BYTEA NOT NULL,
    rival BYTEA,
    CONSTRAINT spans_key PRIMARY KEY (install_id, from_ms),
    CONSTRAINT spans_are_not_empty CHECK (to_ms IS NULL OR to_ms > from_ms)
) {without_rowid};
CREATE UNIQUE INDEX one_active_install_per_user ON spans (user_id) WHERE to_ms IS NULL AND outcome = 'accepted';

-- Which installs stand otherwise than their tokens say; read by whoever takes uploads. Of an erased install only the
-- keyed hash (32 bytes) is here.
CREATE TABLE changes (
    seq {identity},
    install_id BYTEA,
    standing TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);
CREATE INDEX changes_of_install ON changes (install_id) WHERE install_id IS NOT NULL;

-- Credentials that were spent, one-time codes, and calls that may be repeated.
CREATE TABLE spent_credentials (
    digest BYTEA NOT NULL,
    install_id BYTEA NOT NULL,
    spent_key TEXT,
    CONSTRAINT spent_credentials_key PRIMARY KEY (digest)
) {without_rowid};
CREATE INDEX spent_credentials_of_install ON spent_credentials (install_id);

CREATE TABLE registrations (
    app_id BYTEA NOT NULL,
    key_digest BYTEA NOT NULL,
    install_id BYTEA NOT NULL,
    CONSTRAINT registrations_key PRIMARY KEY (app_id, key_digest)
) {without_rowid};
CREATE INDEX registrations_of_install ON registrations (install_id);
CREATE INDEX registrations_by_key ON registrations (key_digest);

CREATE TABLE auth_codes (
    digest BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    external_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_by BYTEA,
    minted_for TEXT,
    actor TEXT NOT NULL,
    CONSTRAINT auth_codes_key PRIMARY KEY (digest)
) {without_rowid};
CREATE INDEX auth_codes_by_expiry ON auth_codes (expires_at);
CREATE INDEX auth_codes_of_person ON auth_codes (app_id, external_id);
CREATE INDEX auth_codes_of_call ON auth_codes (app_id, minted_for) WHERE minted_for IS NOT NULL;
CREATE INDEX auth_codes_of_install ON auth_codes (redeemed_by) WHERE redeemed_by IS NOT NULL;

CREATE TABLE idempotency (
    caller BYTEA NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    status BIGINT NOT NULL,
    reply BYTEA NOT NULL,
    at BIGINT NOT NULL,
    user_id BYTEA,
    CONSTRAINT idempotency_key PRIMARY KEY (caller, idempotency_key)
);
CREATE INDEX idempotency_by_time ON idempotency (at);
CREATE INDEX idempotency_of_user ON idempotency (user_id) WHERE user_id IS NOT NULL;

-- Who is gone: keyed hashes only.
CREATE TABLE tombstones (
    digest BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    kind TEXT NOT NULL,
    receipt_id BYTEA NOT NULL,
    CONSTRAINT tombstones_key PRIMARY KEY (digest)
) {without_rowid};

CREATE TABLE receipts (
    receipt_id BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    body TEXT NOT NULL,
    is_purged BOOLEAN NOT NULL,
    CONSTRAINT receipts_key PRIMARY KEY (receipt_id)
) {without_rowid};
CREATE INDEX receipts_unpurged ON receipts (receipt_id) WHERE NOT is_purged;

-- What was captured, one row an upload, and what became of it.
CREATE TABLE payloads (
    install_id BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    offset_ms BIGINT NOT NULL,
    first_t BIGINT NOT NULL,
    last_t BIGINT NOT NULL,
    reach_ms BIGINT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT payloads_key PRIMARY KEY (install_id, seq)
);
CREATE INDEX payloads_by_reach ON payloads (install_id, reach_ms);

CREATE TABLE timelines (
    user_id BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    state BYTEA NOT NULL,
    places BYTEA NOT NULL,
    labels BYTEA NOT NULL,
    places_until BIGINT NOT NULL,
    last_fix TEXT,
    CONSTRAINT timelines_key PRIMARY KEY (user_id)
);

CREATE TABLE checkpoints (
    user_id BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    state BYTEA NOT NULL,
    CONSTRAINT checkpoints_key PRIMARY KEY (user_id, at_ms)
);

-- Where a fold goes on whose earlier payloads are gone: the state after every item captured up to `at_ms`.
CREATE TABLE floors (
    user_id BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    state BYTEA NOT NULL,
    last_fix TEXT,
    CONSTRAINT floors_key PRIMARY KEY (user_id)
);

CREATE TABLE events (
    user_id BYTEA NOT NULL,
    event_id TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT,
    revision BIGINT NOT NULL,
    body BYTEA NOT NULL,
    place_id TEXT,
    successor TEXT,
    is_removed BOOLEAN NOT NULL,
    CONSTRAINT events_key PRIMARY KEY (user_id, event_id)
);
CREATE INDEX events_by_start ON events (user_id, start_ms);

CREATE TABLE chunks (
    user_id BYTEA NOT NULL,
    day BIGINT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT chunks_key PRIMARY KEY (user_id, day)
);

-- Which timelines are to be computed again. One that could not be is set aside until `retry_at`, by the system's clock.
CREATE TABLE due (
    user_id BYTEA NOT NULL,
    from_ms BIGINT NOT NULL,
    version BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    retry_at BIGINT NOT NULL DEFAULT 0,
    trouble TEXT,
    CONSTRAINT due_key PRIMARY KEY (user_id)
) {without_rowid};

-- Whose payloads and events are being brought in: nobody sees them until their install or user is there.
CREATE TABLE imports (
    id BYTEA NOT NULL,
    is_install BOOLEAN NOT NULL,
    run BYTEA NOT NULL,
    at BIGINT NOT NULL,
    CONSTRAINT imports_key PRIMARY KEY (id)
) {without_rowid};
CREATE INDEX imports_of_run ON imports (run);
