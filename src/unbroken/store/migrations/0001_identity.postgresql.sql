
-- Law 2, by the database itself: no instant in which two installs are active for one user. An id is a range of one
-- element, as GiST knows ranges without an extension, and a type of ranges needs no more rights than a table.
CREATE TYPE id_range AS RANGE (SUBTYPE = BYTEA);
ALTER TABLE spans ADD CONSTRAINT one_active_install_at_a_time EXCLUDE USING gist (
    id_range(user_id, user_id, '[]') WITH &&, int8range(from_ms, to_ms) WITH &&
) WHERE (outcome = 'accepted');
