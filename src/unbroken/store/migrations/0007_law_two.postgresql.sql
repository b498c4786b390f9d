
-- A span is a box in a plane: its user is the place across (48 bits of the id, which a float holds exactly; the other 48
-- are a box of their own), its time the height, in milliseconds, and half a millisecond short, as boxes that touch
-- overlap. GiST knows boxes without an extension, as it does ranges, but it can tell how far apart they are.
ALTER TABLE spans DROP CONSTRAINT one_active_install_at_a_time;
ALTER TABLE spans ADD CONSTRAINT one_active_install_at_a_time EXCLUDE USING gist (
    box(
        point(('x' || encode(substr(user_id, 7, 6), 'hex'))::bit(48)::int8::float8, from_ms::float8),
        point(
            ('x' || encode(substr(user_id, 7, 6), 'hex'))::bit(48)::int8::float8,
            coalesce(to_ms, 9007199254740991)::float8 - 0.5
        )
    ) WITH &&,
    box(
        point(('x' || encode(substr(user_id, 1, 6), 'hex'))::bit(48)::int8::float8, 0),
        point(('x' || encode(substr(user_id, 1, 6), 'hex'))::bit(48)::int8::float8, 0)
    ) WITH &&
) WHERE (outcome = 'accepted');
DROP TYPE id_range;
