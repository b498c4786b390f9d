-- A payload log outside this database, and several workers on one log.

-- Where the log is, if not here: the stream that was made for this database, by a name that no other has.
CREATE TABLE log_home (
    only_row BIGINT NOT NULL,
    stream TEXT NOT NULL,
    mark TEXT NOT NULL,
    partitions BIGINT NOT NULL,
    CONSTRAINT log_home_pk PRIMARY KEY (only_row),
    CONSTRAINT log_home_is_one CHECK (only_row = 1)
);

-- What a transaction has taken out of a log elsewhere, which learns of it afterwards; nobody reads it meanwhile.
CREATE TABLE log_taken (
    partition_no BIGINT NOT NULL,
    position BIGINT NOT NULL,
    is_scrubbed BOOLEAN NOT NULL,
    CONSTRAINT log_taken_pk PRIMARY KEY (partition_no, position)
);

-- Uploads that could not be processed, out of the way of all others.
CREATE TABLE dead_letters (
    install_id BYTEA NOT NULL,
    position BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    trouble TEXT NOT NULL,
    failed_at BIGINT NOT NULL,
    CONSTRAINT dead_letters_pk PRIMARY KEY (install_id, position)
);

-- Who works on the log, to share its partitions out.
CREATE TABLE workers (
    holder TEXT NOT NULL,
    beats BIGINT NOT NULL,
    CONSTRAINT workers_pk PRIMARY KEY (holder)
);
