-- Version 1 of the proof queue. docs/spec/queue.md
CREATE SCHEMA IF NOT EXISTS gridveil_queue;

CREATE TABLE gridveil_queue.meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  integer NOT NULL
);

CREATE TABLE gridveil_queue.jobs (
    -- Content address of the job.
    id              bytea PRIMARY KEY CHECK (octet_length(id) = 32),
    -- Which key sealed the row: not the key, nor anything that helps to find it.
    key_id          bytea NOT NULL CHECK (octet_length(key_id) = 8),
    batch           bigint NOT NULL,
    shape           text NOT NULL,
    circuit_version bigint NOT NULL,
    state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'claimed', 'proven', 'poisoned', 'refused')),
    -- Counted when the job is claimed.
    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- The witness, sealed. Gone with the proof.
    payload         bytea CHECK (octet_length(payload) <= 16777344),
    -- The proof, sealed.
    result          bytea CHECK (octet_length(result) <= 1048704),
    -- Why it failed last: a code for everybody, an error for those with the key.
    reason          text CHECK (octet_length(reason) <= 32),
    error           bytea CHECK (octet_length(error) <= 4096),
    -- Who has it, or who proved it.
    worker          text CHECK (octet_length(worker) <= 128),
    lease_until     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((payload IS NULL) = (state IN ('proven', 'refused'))),
    CHECK ((result IS NULL) = (state <> 'proven')),
    CHECK ((lease_until IS NULL) = (state <> 'claimed')),
    CHECK (state <> 'claimed' OR worker IS NOT NULL),
    CHECK (state NOT IN ('poisoned', 'refused') OR reason IS NOT NULL)
);

-- Ciphertext does not compress.
ALTER TABLE gridveil_queue.jobs ALTER COLUMN payload SET STORAGE EXTERNAL, ALTER COLUMN result SET STORAGE EXTERNAL;

CREATE INDEX jobs_open ON gridveil_queue.jobs (batch, created_at, id) WHERE state IN ('waiting', 'claimed');

CREATE TABLE gridveil_queue.workers (
    name            text PRIMARY KEY CHECK (octet_length(name) <= 128),
    key_id          bytea NOT NULL,
    shapes          text[] NOT NULL,
    circuit_version bigint NOT NULL,
    lease_ms        bigint NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT now(),
    beat_at         timestamptz NOT NULL DEFAULT now()
);

INSERT INTO gridveil_queue.meta (version) VALUES (1);
