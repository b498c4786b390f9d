-- External ids are sealed: what these columns hold is said by store/sealed.py. They get another name, so that no
-- statement of an earlier version, which may still run somewhere, reads or writes one in clear.
ALTER TABLE facts RENAME COLUMN external_id TO sealed_id;
ALTER TABLE installs RENAME COLUMN external_id TO sealed_id;
ALTER TABLE users RENAME COLUMN external_id TO sealed_id;
ALTER TABLE carriers RENAME COLUMN external_id TO sealed_id;
ALTER TABLE auth_codes RENAME COLUMN external_id TO sealed_id;

-- Under which key; 0 is none, so what was there before is in clear until it is sealed. While another key takes its
-- place, everything up to `done_app` and, in that app, up to `done_id` (as it was) is under the new one already.
CREATE TABLE sealing (
    only_row BIGINT NOT NULL,
    key_no BIGINT NOT NULL,
    key_mark BYTEA,
    old_key_no BIGINT,
    done_app BYTEA,
    done_id TEXT,
    is_purged BOOLEAN NOT NULL, -- no file holds any more what was under another key, or in clear
    CONSTRAINT sealing_key PRIMARY KEY (only_row),
    CONSTRAINT sealing_is_one CHECK (only_row = 1)
);
INSERT INTO sealing (only_row, key_no, is_purged) VALUES (1, 0, TRUE);
