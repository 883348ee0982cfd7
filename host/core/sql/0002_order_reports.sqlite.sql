-- SPDX-License-Identifier: LGPL-2.1-or-later
-- End reports that contradict an order which is settled for good.
CREATE TABLE order_reports (
  id INTEGER PRIMARY KEY,
  order_no TEXT NOT NULL,
  phy_id TEXT NOT NULL,
  socket_no INTEGER NOT NULL,
  port_no INTEGER NOT NULL,
  report_key TEXT NOT NULL,
  business_no INTEGER,
  wire_order TEXT,
  energy_wh INTEGER,
  duration_s INTEGER,
  amount_cent INTEGER,
  end_reason INTEGER,
  raw_reason INTEGER,
  occurred_at INTEGER,
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid (metadata)),
  received_at INTEGER NOT NULL,
  UNIQUE (order_no, report_key)
);
