/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading orders: active ones from memory, the others from the store. */
#include "core/order/order-conflict.h"
#include "core/order/order-home.h"
#include "core/order/order-store.h"
#include "core/order/orders.h"
#include <chargehost/error.h>
#include <chargehost/json.h>

typedef struct {
  ChPlugin *caller;
  ChCoreDone done;
  gpointer user_data;
  ChCore *core;
  gint64 limit, offset;
} Query;

static void answer (Query *query, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (ch_runner_enter (query->caller, "order query", &frame)) {
    query->done (query->caller, data, error, query->user_data);
    ch_runner_leave (&frame);
  }
  g_free (query);
}

static void refuse (Query *query, gint code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (CH_CORE_ERROR, code, message);
  answer (query, NULL, error);
}

/* The order of a row; the one in memory knows more. */
static json_t *row_json (ChCore *core, const ChTxResult *result, guint row)
{
  ChOrder *active
      = ch_orders_find (core->orders, ch_tx_result_text (result, 0, row, "order_no"));
  if (active != NULL)
    return ch_order_json (active);
  ChDevice *device = ch_home_device (core, ch_tx_result_text (result, 0, row, "phy_id"));
  if (device == NULL)
    return NULL;
  ChOrder *order = ch_order_new (device);
  ch_order_read (order, result, 0, row);
  json_t *object = ch_order_json (order);
  ch_order_free (order);
  return object;
}

static void got_order (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  Query *query = data;
  if (error != NULL) {
    refuse (query, CH_CORE_ERROR_STORE_UNAVAILABLE, error->message);
    return;
  }
  g_autoptr (json_t) object
      = ch_tx_result_rows (result, 0) > 0 ? row_json (query->core, result, 0) : NULL;
  if (object == NULL) {
    refuse (query, CH_CORE_ERROR_ORDER_NOT_FOUND, "no such order");
    return;
  }
  ch_order_reports_json (result, 1, object);
  answer (query, object, NULL);
}

static Query *query_new (ChPlugin *self, ChCoreDone done, gpointer user_data)
{
  Query *query = g_new0 (Query, 1);
  query->caller = self;
  query->core = ch_core_of (self);
  query->done = done;
  query->user_data = user_data;
  return query;
}

void ch_core_get_order (ChPlugin *self, const char *order_no, ChCoreDone done,
                        gpointer user_data)
{
  Query *query = query_new (self, done, user_data);
  ChOrder *order = ch_orders_find (query->core->orders, order_no);
  if (order != NULL) {
    g_autoptr (json_t) object = ch_order_json (order);
    answer (query, object, NULL);
    return;
  }
  ChTx *tx = ch_tx_new (query->core->self);
  ch_tx_add (tx, query->core->self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_order_reports_read (query->core, order_no, tx);
  ch_tx_submit (tx, 0, got_order, query);
}

static void got_list (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  Query *query = data;
  if (error != NULL) {
    refuse (query, CH_CORE_ERROR_STORE_UNAVAILABLE, error->message);
    return;
  }
  g_autoptr (json_t) object = json_object ();
  json_t *orders = json_array ();
  guint rows = ch_tx_result_rows (result, 0);
  for (guint row = 0; row < rows; row++) {
    json_t *order = row_json (query->core, result, row);
    if (order != NULL)
      json_array_append_new (orders, order);
  }
  json_object_set_new_nocheck (object, "orders", orders);
  json_object_set_new_nocheck (object, "total",
                               json_integer (ch_tx_result_int (result, 1, 0, "total")));
  json_object_set_new_nocheck (
      object, "page",
      json_integer (query->limit > 0 ? query->offset / query->limit + 1 : 1));
  json_object_set_new_nocheck (object, "page_size", json_integer (query->limit));
  if (rows > 0 && rows == (guint) query->limit)
    json_object_set_new_nocheck (
        object, "next", json_integer (ch_tx_result_int (result, 0, rows - 1, "id")));
  answer (query, object, NULL);
}

static void bind_filter (ChTx *tx, const ChOrderQuery *q)
{
  if (q->device != NULL)
    ch_tx_bind_text (tx, "phy_id", q->device);
  ch_tx_bind_int (tx, "status", q->status == CH_UNSET ? -1 : q->status);
  ch_tx_bind_time (tx, "from_at", q->from_ms == CH_UNSET ? 0 : q->from_ms);
  ch_tx_bind_time (tx, "to_at",
                   q->to_ms == CH_UNSET ? G_GINT64_CONSTANT (4102444800000) : q->to_ms);
}

void ch_core_list_orders (ChPlugin *self, const ChOrderQuery *q, ChCoreDone done,
                          gpointer user_data)
{
  Query *query = query_new (self, done, user_data);
  ChCore *core = query->core;
  if (q->device != NULL && ch_device_find (core, q->device) == NULL) {
    refuse (query, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no such device");
    return;
  }
  query->limit = CLAMP (q->limit, 1, 1000);
  query->offset = CLAMP (q->offset, 0, 1000000);

  ChTx *tx = ch_tx_new (core->self);
  ch_tx_add (tx, core->self, q->device != NULL ? "orders.list_device" : "orders.list");
  bind_filter (tx, q);
  ch_tx_bind_int (tx, "before", q->after == CH_UNSET ? G_MAXINT64 : q->after);
  ch_tx_bind_int (tx, "count", query->limit);
  ch_tx_bind_int (tx, "skip", query->offset);
  ch_tx_add (tx, core->self, q->device != NULL ? "orders.count_device" : "orders.count");
  bind_filter (tx, q);
  ch_tx_submit (tx, 0, got_list, query);
}
