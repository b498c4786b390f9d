-- An upload as one row of 1,500 bytes, in a transaction of its own.
INSERT INTO payloads (body) VALUES (decode(repeat('c0ffee', 500), 'hex'));
