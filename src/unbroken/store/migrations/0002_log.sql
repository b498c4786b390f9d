-- The payload log: uploads from their acknowledgement until they were processed.

-- One head for the whole log. Every append takes its positions from this row and holds it until it commits, so the
-- order of positions is the order of commits; in each partition they only grow, with gaps.
CREATE TABLE log_head (
    only_row BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT log_head_pk PRIMARY KEY (only_row),
    CONSTRAINT log_head_is_one CHECK (only_row = 1)
);
INSERT INTO log_head (only_row, position) VALUES (1, 0);

-- Who reads a partition, and how far it was processed. The epoch grows with each change of holder.
CREATE TABLE log_partitions (
    partition_no BIGINT NOT NULL,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    holder TEXT,
    leased_until BIGINT NOT NULL,
    CONSTRAINT log_partitions_pk PRIMARY KEY (partition_no)
);
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3)
INSERT INTO log_partitions (partition_no, position, epoch, leased_until) SELECT n, 0, 0, 0 FROM numbers;

-- What is not processed yet. With a rowid of its own SQLite adds every row at the end of the table: with the key as
-- the order of the table, an append costs twice as much.
CREATE TABLE log_records (
    partition_no BIGINT NOT NULL,
    position BIGINT NOT NULL,
    install_id BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT log_records_pk PRIMARY KEY (partition_no, position)
);
