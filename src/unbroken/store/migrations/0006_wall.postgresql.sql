
-- A session that names an app sees no row of another one; one that names none sees all, as workers must. The owner of
-- the tables is held to it too; a superuser never is.
ALTER TABLE apps ENABLE ROW LEVEL SECURITY;
ALTER TABLE apps FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON apps USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON api_keys USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE facts ENABLE ROW LEVEL SECURITY;
ALTER TABLE facts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON facts USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE installs ENABLE ROW LEVEL SECURITY;
ALTER TABLE installs FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON installs USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON users USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE carriers ENABLE ROW LEVEL SECURITY;
ALTER TABLE carriers FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON carriers USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE registrations ENABLE ROW LEVEL SECURITY;
ALTER TABLE registrations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON registrations USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE auth_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON auth_codes USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE tombstones ENABLE ROW LEVEL SECURITY;
ALTER TABLE tombstones FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON tombstones USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE receipts ENABLE ROW LEVEL SECURITY;
ALTER TABLE receipts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON receipts USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
ALTER TABLE replay_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE replay_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON replay_runs USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
