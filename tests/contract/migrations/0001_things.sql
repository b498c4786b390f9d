-- What the suites write. `installs` is as much of the real one as the log touches.
CREATE TABLE things (
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    CONSTRAINT things_pk PRIMARY KEY (name),
    CONSTRAINT things_are_small CHECK (number < 1000000)
);
CREATE TABLE notes (
    note_no {identity},
    thing TEXT,
    CONSTRAINT notes_of_a_thing FOREIGN KEY (thing) REFERENCES things (name)
);
CREATE TABLE kinds (
    kind_no BIGINT NOT NULL,
    whole BIGINT,
    broken DOUBLE PRECISION,
    words TEXT,
    raw BYTEA,
    truth BOOLEAN,
    CONSTRAINT kinds_pk PRIMARY KEY (kind_no)
) {without_rowid};
CREATE TABLE installs (
    install_id BYTEA NOT NULL,
    used BOOLEAN NOT NULL,
    CONSTRAINT installs_pk PRIMARY KEY (install_id)
) {without_rowid};
