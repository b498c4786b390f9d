-- Replay: timelines computed again beside the ones that are served, until they are switched or thrown away.

-- One run for an app, or for one user; `scope` is the id of either. `holder` is who works on it.
CREATE TABLE replay_runs (
    scope BYTEA NOT NULL,
    app_id BYTEA NOT NULL,
    policy TEXT NOT NULL,
    holder BYTEA NOT NULL,
    CONSTRAINT replay_runs_key PRIMARY KEY (scope)
);

-- Whose timeline was replayed: from which inputs, and what differs (JSON).
CREATE TABLE replay_users (
    scope BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    inputs BYTEA NOT NULL,
    difference TEXT NOT NULL,
    is_waiting BOOLEAN NOT NULL,
    CONSTRAINT replay_users_key PRIMARY KEY (scope, user_id)
);
CREATE INDEX replay_users_of_user ON replay_users (user_id);

-- The timelines that differ: what `timelines`, `checkpoints` and `events` hold of the others.
CREATE TABLE replay_timelines (
    scope BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    from_ms BIGINT NOT NULL,
    checkpoints_from BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    state BYTEA NOT NULL,
    places BYTEA NOT NULL,
    labels BYTEA NOT NULL,
    places_until BIGINT NOT NULL,
    last_fix TEXT,
    CONSTRAINT replay_timelines_key PRIMARY KEY (scope, user_id)
);
CREATE INDEX replay_timelines_of_user ON replay_timelines (user_id);

CREATE TABLE replay_checkpoints (
    scope BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    state BYTEA NOT NULL,
    CONSTRAINT replay_checkpoints_key PRIMARY KEY (scope, user_id, at_ms)
);
CREATE INDEX replay_checkpoints_of_user ON replay_checkpoints (user_id);

CREATE TABLE replay_events (
    scope BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    event_id TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT replay_events_key PRIMARY KEY (scope, user_id, event_id)
);
CREATE INDEX replay_events_of_user ON replay_events (user_id);
