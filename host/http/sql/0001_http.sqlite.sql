-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Tables of the HTTP part. Times are milliseconds since 1970, JSON is text, booleans 0 and 1.
CREATE TABLE api_keys (
  key_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  key_hash TEXT NOT NULL CONSTRAINT api_keys_key_hash_key UNIQUE
    CHECK (length (key_hash) = 64),
  display TEXT NOT NULL,
  scopes TEXT NOT NULL DEFAULT '[]' CHECK (json_valid (scopes)),
  ip_allow TEXT NOT NULL DEFAULT '[]' CHECK (json_valid (ip_allow)),
  hmac_secret TEXT,
  rate_per_min INTEGER CHECK (rate_per_min > 0),
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  expires_at INTEGER,
  revoked_at INTEGER,
  last_used_at INTEGER
);

CREATE TABLE audit_log (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  actor TEXT NOT NULL,
  ip TEXT,
  action TEXT NOT NULL,
  object TEXT,
  request_id TEXT,
  before TEXT CHECK (before IS NULL OR json_valid (before)),
  after TEXT CHECK (after IS NULL OR json_valid (after))
);
CREATE INDEX idx_audit_log_at ON audit_log (at);

CREATE TABLE idempotency_keys (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL CHECK (length (fingerprint) = 64),
  state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
  locked_at INTEGER NOT NULL,
  response_status INTEGER,
  response_body TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);

CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  subject TEXT NOT NULL CONSTRAINT users_subject_key UNIQUE,
  role TEXT NOT NULL DEFAULT 'user',
  is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid (metadata)),
  created_at INTEGER NOT NULL DEFAULT (CAST (unixepoch () * 1000 AS INTEGER)),
  updated_at INTEGER NOT NULL DEFAULT (CAST (unixepoch () * 1000 AS INTEGER))
);
-- Subjects that are not numbers get numbers from here on, above all that are.
CREATE TABLE user_subject_seq (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  next INTEGER NOT NULL
);
INSERT INTO user_subject_seq (id, next) VALUES (1, 1099511627776);
