-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Tables of the core. Times are milliseconds since 1970, JSON is text, booleans 0 and 1.
CREATE TABLE devices (
  id INTEGER PRIMARY KEY,
  phy_id TEXT NOT NULL CONSTRAINT devices_phy_id_key UNIQUE,
  gateway_id TEXT,
  protocol TEXT,
  iccid TEXT,
  imei TEXT,
  model TEXT,
  firmware_ver TEXT,
  fw_ver TEXT GENERATED ALWAYS AS (firmware_ver) VIRTUAL,
  rssi INTEGER,
  port_count INTEGER,
  lifecycle TEXT NOT NULL DEFAULT 'active'
    CHECK (lifecycle IN ('active', 'maintenance', 'decommissioned')),
  enrolment TEXT NOT NULL DEFAULT 'auto'
    CHECK (enrolment IN ('auto', 'registered', 'blocked')),
  tags TEXT NOT NULL DEFAULT '{}' CHECK (json_valid (tags)),
  last_seen_at INTEGER,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_devices_last_seen_at ON devices (last_seen_at);
CREATE INDEX idx_devices_gateway_id ON devices (gateway_id) WHERE gateway_id IS NOT NULL;
CREATE INDEX idx_devices_iccid ON devices (iccid) WHERE iccid IS NOT NULL;

CREATE TABLE ports (
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  socket_no INTEGER NOT NULL DEFAULT 0,
  port_no INTEGER NOT NULL CHECK (port_no BETWEEN 0 AND 15),
  status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 3),
  power_w INTEGER,
  raw_status INTEGER,
  fault_bits INTEGER,
  no_load INTEGER,
  plugged INTEGER,
  reserved INTEGER,
  out_of_service INTEGER,
  power_mw INTEGER,
  current_ma INTEGER,
  voltage_mv INTEGER,
  temp_dc INTEGER,
  status_reason TEXT,
  reported_at INTEGER,
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  PRIMARY KEY (device_id, socket_no, port_no)
);
CREATE INDEX idx_ports_device_status ON ports (device_id, status, updated_at DESC);

CREATE TABLE gateway_sockets (
  id INTEGER PRIMARY KEY,
  gateway_id TEXT NOT NULL,
  socket_no INTEGER NOT NULL CHECK (socket_no BETWEEN 1 AND 250),
  socket_mac TEXT NOT NULL,
  socket_uid TEXT,
  device_id INTEGER REFERENCES devices (id),
  channel INTEGER CHECK (channel BETWEEN 1 AND 15),
  status INTEGER DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
  signal_strength INTEGER,
  firmware_ver TEXT,
  last_seen_at INTEGER,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  UNIQUE (gateway_id, socket_no)
);
CREATE UNIQUE INDEX idx_gateway_sockets_uid ON gateway_sockets (socket_uid)
  WHERE socket_uid IS NOT NULL;
CREATE INDEX idx_gateway_sockets_mac ON gateway_sockets (socket_mac);
CREATE INDEX idx_gateway_sockets_status ON gateway_sockets (gateway_id, status);
CREATE INDEX idx_gateway_sockets_device ON gateway_sockets (device_id);

CREATE TABLE device_params (
  id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  socket_no INTEGER NOT NULL DEFAULT 0,
  param_id INTEGER NOT NULL,
  param_value BLOB,
  msg_id INTEGER,
  command_id TEXT,
  status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  confirmed_at INTEGER,
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  error_message TEXT,
  UNIQUE (device_id, socket_no, param_id)
);
CREATE INDEX idx_device_params_pending ON device_params (device_id, param_id) WHERE status = 0;
CREATE INDEX idx_device_params_updated ON device_params (updated_at);

CREATE TABLE ota_tasks (
  id INTEGER PRIMARY KEY,
  device_id INTEGER REFERENCES devices (id),
  target_type INTEGER NOT NULL,
  target_socket_no INTEGER,
  firmware_version TEXT NOT NULL,
  ftp_server TEXT,
  ftp_port INTEGER NOT NULL DEFAULT 21,
  file_name TEXT,
  file_size INTEGER,
  transport TEXT,
  url TEXT,
  md5 TEXT,
  sha256 TEXT,
  batch_id TEXT,
  attempt INTEGER NOT NULL DEFAULT 0,
  reported_version TEXT,
  verified INTEGER,
  status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 4),
  progress INTEGER NOT NULL DEFAULT 0,
  error_msg TEXT,
  msg_id INTEGER,
  started_at INTEGER,
  completed_at INTEGER,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_ota_tasks_device ON ota_tasks (device_id);
CREATE INDEX idx_ota_tasks_status ON ota_tasks (status);
CREATE INDEX idx_ota_tasks_created ON ota_tasks (created_at DESC);
CREATE UNIQUE INDEX idx_ota_tasks_unfinished
  ON ota_tasks (device_id, coalesce (target_socket_no, 0)) WHERE status IN (0, 1, 2);

CREATE TABLE cmd_log (
  id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  msg_id INTEGER,
  cmd INTEGER NOT NULL,
  direction INTEGER NOT NULL CHECK (direction IN (0, 1)),
  payload BLOB,
  success INTEGER,
  err_code INTEGER,
  duration_ms INTEGER,
  command_id TEXT,
  order_no TEXT,
  conn_id TEXT,
  protocol TEXT,
  test_session_id TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_cmd_log_device ON cmd_log (device_id, created_at DESC);
CREATE INDEX idx_cmd_log_msg ON cmd_log (msg_id, cmd);
CREATE INDEX idx_cmd_log_created ON cmd_log (created_at);
CREATE INDEX idx_cmd_log_order ON cmd_log (order_no) WHERE order_no IS NOT NULL;
CREATE INDEX idx_cmd_log_test ON cmd_log (test_session_id) WHERE test_session_id IS NOT NULL;

CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE RESTRICT,
  socket_no INTEGER NOT NULL DEFAULT 0,
  port_no INTEGER NOT NULL,
  order_no TEXT NOT NULL UNIQUE CHECK (length (order_no) <= 32),
  business_no INTEGER NOT NULL DEFAULT 0,
  wire_order TEXT,
  source TEXT NOT NULL DEFAULT 'api',
  charge_mode INTEGER NOT NULL DEFAULT 1 CHECK (charge_mode BETWEEN 1 AND 4),
  target_duration_s INTEGER,
  target_energy_wh INTEGER,
  max_power_w INTEGER,
  amount_limit_cent INTEGER,
  price_per_kwh_cent INTEGER,
  service_fee_permille INTEGER,
  card_no TEXT,
  start_time INTEGER,
  end_time INTEGER,
  duration_s INTEGER,
  kwh_0p01 INTEGER GENERATED ALWAYS AS (energy_wh / 10) VIRTUAL,
  energy_wh INTEGER NOT NULL DEFAULT 0,
  electricity_cent INTEGER,
  service_cent INTEGER,
  amount_cent INTEGER,
  device_amount_cent INTEGER,
  end_reason INTEGER,
  raw_reason INTEGER,
  status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 10),
  resume_status INTEGER,
  provisional INTEGER NOT NULL DEFAULT 0,
  failure_reason TEXT,
  settlement_rev INTEGER NOT NULL DEFAULT 0,
  lookup_source TEXT,
  end_key TEXT,
  alias_wire_order TEXT,
  start_command_id TEXT,
  stop_command_id TEXT,
  sent_at INTEGER,
  ack_at INTEGER,
  interrupted_at INTEGER,
  last_progress_at INTEGER,
  peak_power_mw INTEGER,
  last_power_mw INTEGER,
  base_energy_wh INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  status_history TEXT NOT NULL DEFAULT '[]' CHECK (json_valid (status_history)),
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid (metadata)),
  test_session_id TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
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
  id INTEGER PRIMARY KEY,
  command_id TEXT NOT NULL UNIQUE,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  phy_id TEXT,
  port_no INTEGER,
  cmd INTEGER,
  payload BLOB,
  type TEXT NOT NULL,
  message TEXT NOT NULL CHECK (json_valid (message)),
  order_no TEXT,
  priority INTEGER NOT NULL DEFAULT 3,
  status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 3),
  retry_count INTEGER NOT NULL DEFAULT 0,
  retries INTEGER GENERATED ALWAYS AS (retry_count) VIRTUAL,
  not_before INTEGER,
  timeout_sec INTEGER NOT NULL DEFAULT 15,
  correlation_id TEXT,
  last_error TEXT,
  msg_id INTEGER,
  expires_at INTEGER,
  sent_at INTEGER,
  finished_at INTEGER,
  result TEXT,
  test_session_id TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
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
  id INTEGER PRIMARY KEY,
  message_id TEXT NOT NULL,
  device_id INTEGER NOT NULL,
  phy_id TEXT NOT NULL,
  command BLOB,
  message TEXT CHECK (message IS NULL OR json_valid (message)),
  attempts TEXT CHECK (attempts IS NULL OR json_valid (attempts)),
  priority INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  last_error TEXT,
  created_at INTEGER,
  failed_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_dead_device ON outbound_dead_letters (device_id, failed_at DESC);
CREATE INDEX idx_dead_phy ON outbound_dead_letters (phy_id, failed_at DESC);
CREATE INDEX idx_dead_failed ON outbound_dead_letters (failed_at);

CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  order_no TEXT,
  phy_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  event_data TEXT NOT NULL CHECK (json_valid (event_data)),
  sequence_no INTEGER NOT NULL,
  dedup_key TEXT,
  status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
  retry_count INTEGER NOT NULL DEFAULT 0,
  occurred_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  pushed_at INTEGER,
  error_message TEXT,
  test_session_id TEXT
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
  id INTEGER PRIMARY KEY,
  card_no TEXT NOT NULL UNIQUE CHECK (length (card_no) BETWEEN 1 AND 255),
  balance_cent INTEGER NOT NULL DEFAULT 0 CHECK (balance_cent >= 0),
  held_cent INTEGER NOT NULL DEFAULT 0 CHECK (held_cent BETWEEN 0 AND balance_cent),
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'blocked')),
  user_id INTEGER,
  description TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_cards_status ON cards (status);
CREATE INDEX idx_cards_user ON cards (user_id);

CREATE TABLE card_transactions (
  id INTEGER PRIMARY KEY,
  card_no TEXT NOT NULL REFERENCES cards (card_no) ON DELETE RESTRICT,
  device_id INTEGER NOT NULL REFERENCES devices (id),
  phy_id TEXT NOT NULL,
  order_no TEXT NOT NULL UNIQUE,
  charge_mode INTEGER NOT NULL,
  amount_cent INTEGER,
  duration_minutes INTEGER,
  power_watts INTEGER,
  energy_wh INTEGER,
  status TEXT NOT NULL DEFAULT 'pending',
  start_time INTEGER,
  end_time INTEGER,
  failure_reason TEXT,
  price_per_kwh_cent INTEGER,
  service_fee_permille INTEGER,
  total_cent INTEGER,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_card_transactions_card ON card_transactions (card_no, created_at DESC);
CREATE INDEX idx_card_transactions_device ON card_transactions (device_id, status);
CREATE INDEX idx_card_transactions_phy ON card_transactions (phy_id);
CREATE INDEX idx_card_transactions_status ON card_transactions (status);
CREATE INDEX idx_card_transactions_created ON card_transactions (created_at DESC);

CREATE TABLE card_balance_logs (
  id INTEGER PRIMARY KEY,
  card_no TEXT NOT NULL REFERENCES cards (card_no),
  order_no TEXT,
  transaction_id INTEGER,
  change_type TEXT NOT NULL,
  amount_cent INTEGER NOT NULL,
  balance_before_cent INTEGER NOT NULL,
  balance_after_cent INTEGER NOT NULL,
  held_after_cent INTEGER,
  description TEXT,
  actor TEXT,
  idempotency_key TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);
CREATE INDEX idx_card_logs_card ON card_balance_logs (card_no, created_at DESC);
CREATE INDEX idx_card_logs_transaction ON card_balance_logs (transaction_id);
CREATE INDEX idx_card_logs_created ON card_balance_logs (created_at DESC);
CREATE UNIQUE INDEX idx_card_logs_order ON card_balance_logs (order_no, change_type)
  WHERE order_no IS NOT NULL;
CREATE UNIQUE INDEX idx_card_logs_idempotency ON card_balance_logs (idempotency_key)
  WHERE idempotency_key IS NOT NULL;

CREATE TABLE bans (
  id INTEGER PRIMARY KEY,
  subject TEXT NOT NULL UNIQUE,
  reason TEXT NOT NULL,
  until_at INTEGER,
  created_at INTEGER NOT NULL DEFAULT (unixepoch () * 1000)
);

CREATE TABLE tariffs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  price_per_kwh_cent INTEGER NOT NULL CHECK (price_per_kwh_cent > 0),
  service_fee_permille INTEGER NOT NULL CHECK (service_fee_permille BETWEEN 0 AND 1000),
  min_charge_cent INTEGER NOT NULL DEFAULT 0 CHECK (min_charge_cent >= 0),
  max_charge_cent INTEGER CHECK (max_charge_cent > min_charge_cent),
  valid_from INTEGER NOT NULL
);
