/** Each entry brings the database from one version to the next. Entries are never changed once released. */
export const migrations: string[] = [
  `
  CREATE TABLE jobs (
    task_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('leader', 'verifier')),
    state TEXT NOT NULL,
    model_id TEXT NOT NULL,
    prompt_cid TEXT NOT NULL,
    user_address TEXT NOT NULL,
    claim_deadline INTEGER,
    output_cid TEXT,
    commitment TEXT,
    verdict TEXT,
    determinism_class TEXT,
    sealed_output_key BLOB,
    sealed_encrypted_key BLOB,
    output_key_tx TEXT,
    failure_code TEXT,
    engine_crashes INTEGER NOT NULL DEFAULT 0,
    timings TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (task_id, role)
  ) STRICT;

  CREATE INDEX jobs_by_state ON jobs (state);

  CREATE TABLE commitments (
    task_id TEXT NOT NULL,
    role TEXT NOT NULL,
    commitment TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (task_id, role)
  ) STRICT;

  CREATE TABLE transactions (
    purpose TEXT PRIMARY KEY,
    nonce INTEGER NOT NULL,
    hashes TEXT NOT NULL,
    raw TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'reverted')),
    sent_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT;
  `,
];
