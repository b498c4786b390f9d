-- A link in five statements: lock the install, find or make the person, end the older install, move it, note it.
\set install random(1, 200000)
\set account random(1, 100000)
BEGIN;
SELECT user_id FROM installs WHERE id = :install FOR UPDATE;
INSERT INTO users (external_id) VALUES ('account-' || :account)
    ON CONFLICT (external_id) DO UPDATE SET external_id = excluded.external_id RETURNING id AS person \gset
UPDATE installs SET is_active = false WHERE user_id = :person AND is_active;
UPDATE installs SET user_id = :person, is_active = true WHERE id = :install;
INSERT INTO links (install_id, user_id, at) VALUES (:install, :person, now());
COMMIT;
