/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/metrics.h"
#include "core/device/device.h"
#include "core/order/order.h"

#define LABELS(...) ((const char *const[]) {__VA_ARGS__, NULL})

static ChSeries *counter (ChCore *core, const char *name, const char *help)
{
  ChMetric *family = ch_metric_register (core->self, CH_METRIC_COUNTER, name, help, NULL);
  return ch_metric_with (family, NULL);
}

static ChMetric *family (ChCore *core, ChMetricKind kind, const char *name,
                         const char *help, const char *const *labels)
{
  return ch_metric_register (core->self, kind, name, help, labels);
}

/* What the charging ports of a connected device have reported last. */
static void add_load (const ChDevice *device, double *watts, double *amperes)
{
  for (guint i = 0; i < device->n_ports; i++) {
    const ChPort *port = &device->ports[i];
    if (port->status != CH_PORT_CHARGING)
      continue;
    *watts += port->power_mw > 0 ? port->power_mw / 1000.0 : 0;
    *amperes += port->current_ma > 0 ? port->current_ma / 1000.0 : 0;
  }
}

/* Gauges that are counted when somebody looks. */
static void collect (ChPlugin *self, gpointer data)
{
  ChCore *core = data;
  guint presence[3] = {0}, orders[CH_ORDER_N] = {0};
  g_autoptr (GHashTable) connected = g_hash_table_new (g_str_hash, g_str_equal);
  double watts = 0, amperes = 0;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const ChDevice *device = value;
    presence[MIN (device->presence, 2)]++;
    if (device->conn != 0) {
      add_load (device, &watts, &amperes);
      g_hash_table_insert (
          connected, (gpointer) device->protocol,
          GUINT_TO_POINTER (
              GPOINTER_TO_UINT (g_hash_table_lookup (connected, device->protocol)) + 1));
    }
    for (guint i = 0; device->orders != NULL && i < device->orders->len; i++)
      orders[((ChOrder *) g_ptr_array_index (device->orders, i))->d.status]++;
  }
  ch_series_set (core->metrics->power, watts);
  ch_series_set (core->metrics->current, amperes);
  for (guint i = 0; i < 3; i++)
    ch_series_set (ch_metric_with (core->metrics->devices_presence,
                                   ch_presence_name ((ChPresence) i), NULL),
                   presence[i]);
  for (guint i = 0; i < CH_ORDER_N; i++)
    if (ch_order_status_is_active ((ChOrderStatus) i))
      ch_series_set (ch_metric_with (core->metrics->orders_active,
                                     ch_order_status_name ((ChOrderStatus) i), NULL),
                     orders[i]);
  gpointer key;
  g_hash_table_iter_init (&iter, connected);
  while (g_hash_table_iter_next (&iter, &key, &value))
    ch_series_set (
        ch_metric_with (core->metrics->devices_connected, (const char *) key, NULL),
        GPOINTER_TO_UINT (value));
}

ChCoreMetrics *ch_core_metrics_new (ChCore *core)
{
  ChCoreMetrics *m = g_new0 (ChCoreMetrics, 1);
  core->metrics = m;

  m->device_unknown = counter (core, "chargehost_device_unknown_total",
                               "Connections of devices that are not enrolled.");
  m->port_snapshot_stale = counter (core, "chargehost_port_snapshot_stale_total",
                                    "Port reports older than the stored one.");
  ChMetric *reports = family (core, CH_METRIC_COUNTER, "charge_report_total",
                              "Port reports by status.", LABELS ("status"));
  m->report_charging = ch_metric_with (reports, "charging", NULL);
  m->report_idle = ch_metric_with (reports, "idle", NULL);
  m->report_abnormal = ch_metric_with (reports, "abnormal", NULL);
  ChMetric *inconsistent
      = family (core, CH_METRIC_COUNTER, "order_state_inconsistency_total",
                "Order transitions that were refused.", LABELS ("type"));
  m->order_inconsistent_transition
      = ch_metric_with (inconsistent, "invalid_transition", NULL);
  m->order_inconsistent_duplicate = ch_metric_with (inconsistent, "duplicate", NULL);
  m->order_transition
      = family (core, CH_METRIC_COUNTER, "chargehost_order_transition_total",
                "Order transitions.", LABELS ("from", "to", "by"));
  m->duplicate_report
      = family (core, CH_METRIC_COUNTER, "chargehost_duplicate_report_total",
                "Reports that had been handled before.", LABELS ("type"));
  m->order_timeout = family (core, CH_METRIC_COUNTER, "consistency_order_timeout_total",
                             "Orders moved on by a timer.", LABELS ("order_status"));
  m->mapping
      = family (core, CH_METRIC_COUNTER, "session_mapping_total",
                "Look-ups of orders by their keys.", LABELS ("operation", "status"));
  m->start_seconds = family (core, CH_METRIC_HISTOGRAM, "chargehost_order_start_seconds",
                             "From creation to charging.", LABELS ("protocol"));
  m->settlement_revised = counter (core, "chargehost_order_settlement_revised_total",
                                   "Orders settled anew by a late report.");
  m->guard_timeout = counter (core, "chargehost_start_guard_timeout_total",
                              "Starts allowed because the guards took too long.");
  m->power = ch_metric_with (
      family (core, CH_METRIC_GAUGE, "charge_report_power_watts",
              "Power of the charging ports that are connected here, in all.", NULL),
      NULL);
  m->current = ch_metric_with (
      family (core, CH_METRIC_GAUGE, "charge_report_current_amperes",
              "Current of the charging ports that are connected here, in all.", NULL),
      NULL);
  m->energy_total = family (core, CH_METRIC_COUNTER, "charge_report_energy_wh_total",
                            "Energy of settled orders.", LABELS ("protocol"));
  m->orders_active = family (core, CH_METRIC_GAUGE, "chargehost_orders_active",
                             "Active orders.", LABELS ("status"));
  m->devices_presence = family (core, CH_METRIC_GAUGE, "chargehost_devices_presence",
                                "Known devices by presence.", LABELS ("presence"));
  m->devices_connected = family (core, CH_METRIC_GAUGE, "chargehost_devices_connected",
                                 "Devices with a connection.", LABELS ("protocol"));
  ch_metrics_add_collector (core->self, collect, core);
  return m;
}
