
-- As 0006 has it for the other tables that name an app.
ALTER TABLE used_proofs ENABLE ROW LEVEL SECURITY;
ALTER TABLE used_proofs FORCE ROW LEVEL SECURITY;
CREATE POLICY of_one_app ON used_proofs USING (
    coalesce(current_setting('unbroken.app', TRUE), '') = '' OR app_id = decode(current_setting('unbroken.app', TRUE), 'hex')
);
