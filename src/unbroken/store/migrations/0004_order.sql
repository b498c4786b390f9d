-- A change of policy is said after every fact that was decided before it; the last one is found here.
CREATE INDEX facts_by_time ON facts (app_id, at);
