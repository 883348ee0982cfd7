/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-conflict.h"
#include <chargehost/json.h>
#include <chargehost/store.h>

#include <string.h>

#define MAX_OF_ORDER "32" /* a device that makes up figures does not fill the disk */

const ChStatement ch_order_report_statements[] = {
    {.name = "order_reports.insert",
     .sql = "INSERT INTO order_reports (order_no, phy_id, socket_no, port_no, report_key,"
            " business_no, wire_order, energy_wh, duration_s, amount_cent, end_reason,"
            " raw_reason, occurred_at, metadata, received_at)"
            " SELECT :order_no, :phy_id, :socket_no, :port_no, :report_key, :business_no,"
            " :wire_order, :energy_wh, :duration_s, :amount_cent, :end_reason,"
            " :raw_reason, :occurred_at, :metadata, :received_at WHERE (SELECT count(*)"
            " FROM order_reports WHERE order_no = :order_no) < " MAX_OF_ORDER
            " ON CONFLICT DO NOTHING"},
    {.name = "order_reports.of_order",
     .sql = "SELECT socket_no, port_no, energy_wh, duration_s, amount_cent, end_reason,"
            " raw_reason, occurred_at, received_at FROM order_reports"
            " WHERE order_no = :order_no ORDER BY id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

typedef struct {
  ChOrder *order;
  const ChOrderEnded *fact; /* lives until the job is finished */
  ChKeptReason why;
  ChFactNext next;
  gpointer data;
} Kept;

static void tell (const Kept *kept)
{
  static const struct {
    const char *code, *title;
    ChAlarmLevel level;
  } alarms[] = {
      [CH_KEPT_CONFLICT]
      = {"end_report_conflict", "An ended charge was reported again with other figures",
         CH_ALARM_MAJOR},
      [CH_KEPT_RAN_TWICE]
      = {"start_executed_twice", "A repeated start was executed twice", CH_ALARM_WARNING},
  };
  const ChOrder *order = kept->order;
  const ChOrderEnded *fact = kept->fact;
  g_autoptr (json_t) metadata = json_object ();

  json_object_set_new_nocheck (metadata, "order_no", json_string (order->d.order_no));
  json_object_set_new_nocheck (metadata, "energy_wh", json_integer (fact->energy_wh));
  json_object_set_new_nocheck (metadata, "duration_s", json_integer (fact->duration_s));
  json_object_set_new_nocheck (metadata, "stored_energy_wh",
                               json_integer (order->d.energy_wh));
  ch_core_alarm (order->device->core, order->device->id, fact->socket_no, fact->port_no,
                 alarms[kept->why].code, alarms[kept->why].level, TRUE,
                 alarms[kept->why].title, NULL, metadata);
}

static void stored (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  g_autofree Kept *kept = user_data;
  ChDevice *device = kept->order->device;

  if (error == NULL && ch_tx_result_changes (result, 0) > 0) /* a copy: it is known */
    tell (kept);
  kept->next (device, error, kept->data);
  ch_order_free (kept->order);
  ch_fact_finish (device);
}

static void bind (const ChOrder *order, const ChOrderEnded *fact, ChTx *tx)
{
  g_autofree char *metadata
      = fact->metadata != NULL ? ch_json_dump (fact->metadata) : NULL;

  ch_tx_bind_text (tx, "order_no", order->d.order_no);
  ch_tx_bind_text (tx, "phy_id", order->device->id);
  ch_tx_bind_int (tx, "socket_no", fact->socket_no);
  ch_tx_bind_int (tx, "port_no", fact->port_no);
  ch_tx_bind_text (tx, "report_key", fact->dedup_key != NULL ? fact->dedup_key : "");
  ch_tx_bind_int (tx, "business_no", fact->business_no);
  ch_tx_bind_text (tx, "wire_order", fact->wire_order);
  ch_tx_bind_int (tx, "energy_wh", fact->energy_wh);
  ch_tx_bind_int (tx, "duration_s", fact->duration_s);
  ch_tx_bind_int (tx, "amount_cent", fact->amount_cent);
  ch_tx_bind_int (tx, "end_reason", fact->end_reason);
  ch_tx_bind_int (tx, "raw_reason", fact->raw_reason);
  ch_tx_bind_time (tx, "occurred_at", fact->occurred_at_ms);
  ch_tx_bind_json (tx, "metadata", metadata != NULL ? metadata : "{}");
  ch_tx_bind_time (tx, "received_at", ch_wall_ms (order->device->core->self));
}

void ch_order_keep_report (ChOrder *order, const ChOrderEnded *fact, ChKeptReason why,
                           ChFactNext next, gpointer data)
{
  ChPlugin *self = order->device->core->self;
  ChTx *tx = ch_tx_new (self);
  Kept *kept = g_new0 (Kept, 1);

  *kept = (Kept) {.order = order, .fact = fact, .why = why, .next = next, .data = data};
  ch_tx_add (tx, self, "order_reports.insert");
  bind (order, fact, tx);
  if (fact->statements != NULL)
    ch_tx_append (tx, g_steal_pointer (&((ChOrderEnded *) fact)->statements));
  ch_tx_submit (tx, 0, stored, kept);
}

guint ch_order_reports_read (ChCore *core, const char *order_no, ChTx *tx)
{
  guint index = ch_tx_add (tx, core->self, "order_reports.of_order");
  ch_tx_bind_text (tx, "order_no", order_no);
  return index;
}

static json_t *int_or_null (const ChTxResult *r, guint st, guint row, const char *column)
{
  gint64 value = ch_tx_result_int (r, st, row, column);
  return value == CH_UNSET ? json_null () : json_integer (value);
}

void ch_order_reports_json (const ChTxResult *r, guint st, json_t *order)
{
  static const char *const numbers[]
      = {"socket_no", "port_no", "energy_wh", "duration_s", "amount_cent", "raw_reason"};
  guint rows = ch_tx_result_rows (r, st);
  json_t *list = json_array ();

  for (guint row = 0; row < rows; row++) {
    json_t *report = json_object ();
    for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
      json_object_set_new_nocheck (report, numbers[i],
                                   int_or_null (r, st, row, numbers[i]));
    json_object_set_new_nocheck (
        report, "end_reason",
        json_string (ch_end_reason_name (
            (ChEndReason) ch_tx_result_int (r, st, row, "end_reason"))));
    json_object_set_new_nocheck (
        report, "occurred_at",
        ch_json_time (ch_tx_result_time (r, st, row, "occurred_at")));
    json_object_set_new_nocheck (
        report, "received_at",
        ch_json_time (ch_tx_result_time (r, st, row, "received_at")));
    json_array_append_new (list, report);
  }
  if (rows > 0)
    json_object_set_nocheck (order, "end_reports", list);
  json_decref (list);
}
