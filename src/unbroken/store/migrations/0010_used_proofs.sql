-- How devices proved themselves when they were linked: each challenge and each proof counts once in an app.
CREATE TABLE used_proofs (
    app_id BYTEA NOT NULL,
    digest BYTEA NOT NULL, -- of a challenge, or of a proof
    install_id BYTEA NOT NULL,
    used_at BIGINT NOT NULL,
    CONSTRAINT used_proofs_key PRIMARY KEY (app_id, digest)
) {without_rowid};
CREATE INDEX used_proofs_of_install ON used_proofs (install_id);
