-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Tables of the HTTP part.
CREATE TABLE api_keys (
  key_id text PRIMARY KEY,
  name text NOT NULL,
  key_hash char(64) NOT NULL CONSTRAINT api_keys_key_hash_key UNIQUE,
  display text NOT NULL,
  scopes jsonb NOT NULL DEFAULT '[]',
  ip_allow jsonb NOT NULL DEFAULT '[]',
  hmac_secret text,
  rate_per_min integer CHECK (rate_per_min > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

CREATE TABLE audit_log (
  id bigserial PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  ip text,
  action text NOT NULL,
  object text,
  request_id text,
  before jsonb,
  after jsonb
);
CREATE INDEX idx_audit_log_at ON audit_log (at);

CREATE TABLE idempotency_keys (
  scope text NOT NULL,
  key text NOT NULL,
  fingerprint char(64) NOT NULL,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
  locked_at timestamptz NOT NULL,
  response_status integer,
  response_body text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);

CREATE TABLE users (
  id bigint PRIMARY KEY,
  subject varchar(255) NOT NULL CONSTRAINT users_subject_key UNIQUE,
  role varchar(20) NOT NULL DEFAULT 'user',
  is_active boolean NOT NULL DEFAULT true,
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
-- Subjects that are not numbers get numbers from here on, above all that are.
CREATE SEQUENCE user_subject_seq START 1099511627776;
