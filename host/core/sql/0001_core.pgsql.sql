-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Tables of the core. PostgreSQL 13 or newer.
CREATE TABLE devices (
  id bigserial PRIMARY KEY,
  phy_id text NOT NULL CONSTRAINT devices_phy_id_key UNIQUE,
  gateway_id text,
  protocol text,
  iccid text,
  imei text,
  model text,
  firmware_ver text,
  fw_ver text GENERATED ALWAYS AS (firmware_ver) STORED,
  rssi integer,
  port_count integer,
  lifecycle text NOT NULL DEFAULT 'active'
    CHECK (lifecycle IN ('active', 'maintenance', 'decommissioned')),
  enrolment text NOT NULL DEFAULT 'auto'
    CHECK (enrolment IN ('auto', 'registered', 'blocked')),
  tags jsonb NOT NULL DEFAULT '{}',
  last_seen_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_devices_last_seen_at ON devices (last_seen_at);
CREATE INDEX idx_devices_gateway_id ON devices (gateway_id) WHERE gateway_id IS NOT NULL;
CREATE INDEX idx_devices_tags ON devices USING gin (tags);
CREATE INDEX idx_devices_iccid ON devices (iccid) WHERE iccid IS NOT NULL;

CREATE TABLE ports (
  device_id bigint NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  socket_no integer NOT NULL DEFAULT 0,
  port_no integer NOT NULL CHECK (port_no BETWEEN 0 AND 15),
  status integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 3),
  power_w integer,
  raw_status integer,
  fault_bits integer,
  no_load boolean,
  plugged boolean,
  reserved boolean,
  out_of_service boolean,
  power_mw integer,
  current_ma integer,
  voltage_mv integer,
  temp_dc integer,
  status_reason text,
  reported_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (device_id, socket_no, port_no)
);
CREATE INDEX idx_ports_device_status ON ports (device_id, status, updated_at DESC);

CREATE TABLE gateway_sockets (
  id bigserial PRIMARY KEY,
  gateway_id text NOT NULL,
  socket_no integer NOT NULL CHECK (socket_no BETWEEN 1 AND 250),
  socket_mac text NOT NULL,
  socket_uid text,
  device_id bigint REFERENCES devices (id),
  channel integer CHECK (channel BETWEEN 1 AND 15),
  status integer DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
  signal_strength integer,
  firmware_ver text,
  last_seen_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (gateway_id, socket_no)
);
CREATE UNIQUE INDEX idx_gateway_sockets_uid ON gateway_sockets (socket_uid)
  WHERE socket_uid IS NOT NULL;
CREATE INDEX idx_gateway_sockets_mac ON gateway_sockets (socket_mac);
CREATE INDEX idx_gateway_sockets_status ON gateway_sockets (gateway_id, status);
CREATE INDEX idx_gateway_sockets_device ON gateway_sockets (device_id);

CREATE TABLE device_params (
  id bigserial PRIMARY KEY,
  device_id bigint NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  socket_no integer NOT NULL DEFAULT 0,
  param_id integer NOT NULL,
  param_value bytea,
  msg_id bigint,
  command_id text,
  status integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
  created_at timestamptz NOT NULL DEFAULT now(),
  confirmed_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(),
  error_message text,
  UNIQUE (device_id, socket_no, param_id)
);
CREATE INDEX idx_device_params_pending ON device_params (device_id, param_id) WHERE status = 0;
CREATE INDEX idx_device_params_updated ON device_params (updated_at);

CREATE TABLE ota_tasks (
  id bigserial PRIMARY KEY,
  device_id bigint REFERENCES devices (id),
  target_type integer NOT NULL,
  target_socket_no integer,
  firmware_version text NOT NULL,
  ftp_server text,
  ftp_port integer NOT NULL DEFAULT 21,
  file_name text,
  file_size bigint,
  transport text,
  url text,
  md5 text,
  sha256 text,
  batch_id text,
  attempt integer NOT NULL DEFAULT 0,
  reported_version text,
  verified boolean,
  status integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 4),
  progress integer NOT NULL DEFAULT 0,
  error_msg text,
  msg_id bigint,
  started_at timestamptz,
  completed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_ota_tasks_device ON ota_tasks (device_id);
CREATE INDEX idx_ota_tasks_status ON ota_tasks (status);
CREATE INDEX idx_ota_tasks_created ON ota_tasks (created_at DESC);
CREATE UNIQUE INDEX idx_ota_tasks_unfinished
  ON ota_tasks (device_id, coalesce (target_socket_no, 0)) WHERE status IN (0, 1, 2);

-- By day, made ahead while the server runs; strays go to the default partition.
CREATE TABLE cmd_log (
  id bigserial,
  device_id bigint NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  msg_id bigint,
  cmd bigint NOT NULL,
  direction integer NOT NULL CHECK (direction IN (0, 1)),
  payload bytea,
  success boolean,
  err_code integer,
  duration_ms integer,
  command_id text,
  order_no text,
  conn_id text,
  protocol text,
  test_session_id text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE cmd_log_default PARTITION OF cmd_log DEFAULT;
CREATE INDEX idx_cmd_log_device ON cmd_log (device_id, created_at DESC);
CREATE INDEX idx_cmd_log_msg ON cmd_log (msg_id, cmd);
-- For strays; elsewhere the partition says it.
CREATE INDEX idx_cmd_log_created ON cmd_log_default (created_at);
CREATE INDEX idx_cmd_log_order ON cmd_log (order_no) WHERE order_no IS NOT NULL;
CREATE INDEX idx_cmd_log_test ON cmd_log (test_session_id) WHERE test_session_id IS NOT NULL;

CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  device_id bigint NOT NULL REFERENCES devices (id) ON DELETE RESTRICT,
  socket_no integer NOT NULL DEFAULT 0,
  port_no integer NOT NULL,
  order_no text NOT NULL UNIQUE CHECK (length (order_no) <= 32),
  business_no integer NOT NULL DEFAULT 0,
  wire_order text,
  source text NOT NULL DEFAULT 'api',
  charge_mode integer NOT NULL DEFAULT 1 CHECK (charge_mode BETWEEN 1 AND 4),
  target_duration_s integer,
  target_energy_wh integer,
  max_power_w integer,
  amount_limit_cent bigint,
  price_per_kwh_cent integer,
  service_fee_permille integer,
  card_no text,
  start_time timestamptz,
  end_time timestamptz,
  duration_s integer,
  kwh_0p01 bigint GENERATED ALWAYS AS (energy_wh / 10) STORED,
  energy_wh bigint NOT NULL DEFAULT 0,
  electricity_cent bigint,
  service_cent bigint,
  amount_cent bigint,
  device_amount_cent bigint,
  end_reason integer,
  raw_reason integer,
  status integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 10),
  resume_status integer,
  provisional boolean NOT NULL DEFAULT false,
  failure_reason text,
  settlement_rev integer NOT NULL DEFAULT 0,
  lookup_source text,
  end_key text,
  alias_wire_order text,
  start_command_id text,
  stop_command_id text,
  sent_at timestamptz,
  ack_at timestamptz,
  interrupted_at timestamptz,
  last_progress_at timestamptz,
  peak_power_mw integer,
  last_power_mw integer,
  base_energy_wh bigint not null default 0,
  version integer NOT NULL DEFAULT 0,
  status_history jsonb NOT NULL DEFAULT '[]',
  metadata jsonb NOT NULL DEFAULT '{}',
  test_session_id text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_orders_device_created ON orders (device_id, created_at DESC);
CREATE INDEX idx_orders_device_port ON orders (device_id, port_no);
CREATE INDEX idx_orders_time ON orders (start_time, end_time);
CREATE INDEX idx_orders_business_no ON orders (device_id, business_no);
CREATE INDEX idx_orders_wire ON orders (device_id, wire_order) WHERE wire_order IS NOT NULL;
CREATE INDEX idx_orders_alias ON orders (device_id, alias_wire_order)
  WHERE alias_wire_order IS NOT NULL;
CREATE INDEX idx_orders_port_business ON orders (device_id, socket_no, port_no, business_no);
CREATE INDEX idx_orders_interrupted ON orders (device_id, status, updated_at) WHERE status = 10;
CREATE INDEX idx_orders_charging_by_device ON orders (device_id, status, updated_at)
  WHERE status = 2;
CREATE INDEX idx_orders_status ON orders (status, created_at);
CREATE INDEX idx_orders_card ON orders (card_no, created_at DESC) WHERE card_no IS NOT NULL;
CREATE INDEX idx_orders_created ON orders (created_at DESC);
CREATE INDEX idx_orders_test ON orders (test_session_id) WHERE test_session_id IS NOT NULL;
-- The last word on who holds a port.
CREATE UNIQUE INDEX idx_orders_device_port_active ON orders (device_id, socket_no, port_no)
  WHERE status IN (0, 1, 2, 8, 9, 10);
CREATE UNIQUE INDEX idx_orders_wire_active ON orders (device_id, wire_order)
  WHERE wire_order IS NOT NULL AND status IN (0, 1, 2, 8, 9, 10);

CREATE TABLE outbound_queue (
  id bigserial PRIMARY KEY,
  command_id text NOT NULL UNIQUE,
  device_id bigint NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  phy_id text,
  port_no integer,
  cmd bigint,
  payload bytea,
  type text NOT NULL,
  message jsonb NOT NULL,
  order_no text,
  priority integer NOT NULL DEFAULT 3,
  status integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 3),
  retry_count integer NOT NULL DEFAULT 0,
  retries integer GENERATED ALWAYS AS (retry_count) STORED,
  not_before timestamptz,
  timeout_sec integer NOT NULL DEFAULT 15,
  correlation_id text,
  last_error text,
  msg_id bigint,
  expires_at timestamptz,
  sent_at timestamptz,
  finished_at timestamptz,
  result text,
  test_session_id text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_outbound_ready ON outbound_queue (status, not_before, priority, created_at);
CREATE INDEX idx_outbound_device ON outbound_queue (device_id);
CREATE INDEX idx_outbound_order ON outbound_queue (order_no) WHERE order_no IS NOT NULL;
CREATE UNIQUE INDEX idx_outbound_correlation ON outbound_queue (correlation_id)
  WHERE correlation_id IS NOT NULL;
CREATE INDEX idx_outbound_msg ON outbound_queue (device_id, msg_id) WHERE msg_id IS NOT NULL;
CREATE INDEX idx_outbound_finished ON outbound_queue (status, finished_at);
CREATE INDEX idx_outbound_pending ON outbound_queue (status, priority DESC, created_at)
  WHERE status IN (0, 1);
CREATE INDEX idx_outbound_test ON outbound_queue (test_session_id)
  WHERE test_session_id IS NOT NULL;

CREATE TABLE outbound_dead_letters (
  id bigserial PRIMARY KEY,
  message_id text NOT NULL,
  device_id bigint NOT NULL,
  phy_id text NOT NULL,
  command bytea,
  message jsonb,
  attempts jsonb,
  priority integer NOT NULL,
  retries integer NOT NULL,
  last_error text,
  created_at timestamptz,
  failed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_dead_device ON outbound_dead_letters (device_id, failed_at DESC);
CREATE INDEX idx_dead_phy ON outbound_dead_letters (phy_id, failed_at DESC);
CREATE INDEX idx_dead_failed ON outbound_dead_letters (failed_at);

CREATE TABLE events (
  id bigserial PRIMARY KEY,
  event_id text NOT NULL UNIQUE,
  order_no text,
  phy_id text NOT NULL,
  event_type text NOT NULL,
  event_data jsonb NOT NULL,
  sequence_no integer NOT NULL,
  dedup_key text,
  status integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
  retry_count integer NOT NULL DEFAULT 0,
  occurred_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  pushed_at timestamptz,
  error_message text,
  test_session_id text
);
CREATE UNIQUE INDEX idx_events_order ON events (order_no, sequence_no) WHERE order_no IS NOT NULL;
CREATE UNIQUE INDEX idx_events_dedup ON events (dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX idx_events_waiting ON events (status, created_at) WHERE status IN (0, 2);
CREATE INDEX idx_events_phy ON events (phy_id, id);
CREATE INDEX idx_events_created ON events (created_at);
CREATE INDEX idx_events_retry ON events (status, retry_count, created_at)
  WHERE status = 2 AND retry_count < 5;
CREATE INDEX idx_events_test ON events (test_session_id) WHERE test_session_id IS NOT NULL;

CREATE TABLE cards (
  id bigserial PRIMARY KEY,
  card_no text NOT NULL UNIQUE CHECK (length (card_no) BETWEEN 1 AND 255),
  balance_cent bigint NOT NULL DEFAULT 0 CHECK (balance_cent >= 0),
  held_cent bigint NOT NULL DEFAULT 0 CHECK (held_cent BETWEEN 0 AND balance_cent),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'blocked')),
  user_id bigint,
  description text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_cards_status ON cards (status);
CREATE INDEX idx_cards_user ON cards (user_id);

CREATE TABLE card_transactions (
  id bigserial PRIMARY KEY,
  card_no text NOT NULL REFERENCES cards (card_no) ON DELETE RESTRICT,
  device_id bigint NOT NULL REFERENCES devices (id),
  phy_id text NOT NULL,
  order_no text NOT NULL UNIQUE,
  charge_mode integer NOT NULL,
  amount_cent bigint,
  duration_minutes integer,
  power_watts integer,
  energy_wh bigint,
  status text NOT NULL DEFAULT 'pending',
  start_time timestamptz,
  end_time timestamptz,
  failure_reason text,
  price_per_kwh_cent integer,
  service_fee_permille integer,
  total_cent bigint,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_card_transactions_card ON card_transactions (card_no, created_at DESC);
CREATE INDEX idx_card_transactions_device ON card_transactions (device_id, status);
CREATE INDEX idx_card_transactions_phy ON card_transactions (phy_id);
CREATE INDEX idx_card_transactions_status ON card_transactions (status);
CREATE INDEX idx_card_transactions_created ON card_transactions (created_at DESC);

CREATE TABLE card_balance_logs (
  id bigserial PRIMARY KEY,
  card_no text NOT NULL REFERENCES cards (card_no),
  order_no text,
  transaction_id bigint,
  change_type text NOT NULL,
  amount_cent bigint NOT NULL,
  balance_before_cent bigint NOT NULL,
  balance_after_cent bigint NOT NULL,
  held_after_cent bigint,
  description text,
  actor text,
  idempotency_key text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_card_logs_card ON card_balance_logs (card_no, created_at DESC);
CREATE INDEX idx_card_logs_transaction ON card_balance_logs (transaction_id);
CREATE INDEX idx_card_logs_created ON card_balance_logs (created_at DESC);
CREATE UNIQUE INDEX idx_card_logs_order ON card_balance_logs (order_no, change_type)
  WHERE order_no IS NOT NULL;
CREATE UNIQUE INDEX idx_card_logs_idempotency ON card_balance_logs (idempotency_key)
  WHERE idempotency_key IS NOT NULL;

CREATE TABLE bans (
  id bigserial PRIMARY KEY,
  subject text NOT NULL UNIQUE,
  reason text NOT NULL,
  until_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tariffs (
  id bigserial PRIMARY KEY,
  name text NOT NULL UNIQUE,
  price_per_kwh_cent integer NOT NULL CHECK (price_per_kwh_cent > 0),
  service_fee_permille integer NOT NULL CHECK (service_fee_permille BETWEEN 0 AND 1000),
  min_charge_cent integer NOT NULL DEFAULT 0 CHECK (min_charge_cent >= 0),
  max_charge_cent integer CHECK (max_charge_cent > min_charge_cent),
  valid_from timestamptz NOT NULL
);
