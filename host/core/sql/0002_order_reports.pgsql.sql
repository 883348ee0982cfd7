-- SPDX-License-Identifier: LGPL-2.1-or-later
-- End reports that contradict an order which is settled for good.
CREATE TABLE order_reports (
  id bigserial PRIMARY KEY,
  order_no text NOT NULL,
  phy_id text NOT NULL,
  socket_no integer NOT NULL,
  port_no integer NOT NULL,
  report_key text NOT NULL,
  business_no integer,
  wire_order text,
  energy_wh bigint,
  duration_s bigint,
  amount_cent bigint,
  end_reason integer,
  raw_reason integer,
  occurred_at timestamptz,
  metadata jsonb NOT NULL DEFAULT '{}',
  received_at timestamptz NOT NULL,
  UNIQUE (order_no, report_key)
);
