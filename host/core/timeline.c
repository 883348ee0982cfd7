/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that is kept of one order, merged by time (gateway 7.7). */
#include "base/text.h"
#include "core/core-admin.h"
#include "core/device/device.h"
#include "core/order/order-machine.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <string.h>

#define FRAMES_MAX 1000

enum { ORDER, COMMANDS, FRAMES, EVENTS };

typedef struct {
  gint64 at_ms;
  guint seq; /* entries of one moment stay in this order */
  json_t *json;
} Entry;

typedef struct {
  ChAsk *ask;
  char order_no[CH_ORDER_NO_SIZE];
  const ChTxResult *r;
  GArray *entries;      /* of Entry */
  GHashTable *requests; /* ids of HTTP requests that are listed */
  gint64 errors, sent;
} Timeline;

static void set (json_t *object, const char *name, json_t *value)
{
  json_object_set_new_nocheck (object, name, value);
}

static json_t *parsed (const char *text)
{
  json_t *json = text != NULL ? ch_json_parse (text, strlen (text), NULL) : NULL;
  return json != NULL ? json : json_object ();
}

/* @data (transfer full); @raw (nullable) */
static void add (Timeline *t, gint64 at_ms, const char *type, const char *source,
                 const char *description, json_t *data, const char *raw)
{
  Entry entry = {.at_ms = at_ms, .seq = t->entries->len, .json = json_object ()};
  set (entry.json, "timestamp", ch_json_time (at_ms));
  set (entry.json, "type", json_string (type));
  set (entry.json, "source", json_string (source));
  set (entry.json, "description", json_string (description));
  set (entry.json, "data", data);
  set (entry.json, "raw_payload", json_string (raw != NULL ? raw : ""));
  g_array_append_val (t->entries, entry);
}

/* ---- steps of the order ---- */

static void add_steps (Timeline *t)
{
  g_autoptr (json_t) history
      = parsed (ch_tx_result_text (t->r, ORDER, 0, "status_history"));
  size_t i;
  json_t *step;

  json_array_foreach (history, i, step)
  {
    gint64 at_ms;
    gint64 status = ch_json_get_int (step, "status", 0);
    const char *name = ch_order_status_name ((ChOrderStatus) status);
    if (!ch_parse_time (ch_json_get_string (step, "timestamp", ""), &at_ms))
      continue;
    json_t *data = json_object ();
    set (data, "status", json_string (name));
    set (data, "status_code", json_integer (status));
    set (data, "reason", json_string (ch_json_get_string (step, "reason", "")));
    if (status == CH_ORDER_FAILED || status == CH_ORDER_TIMEOUT)
      t->errors++;
    add (t, at_ms, "db_operation", ch_json_get_string (step, "by", ""), name, data, NULL);
  }
}

/* ---- commands, and the requests that made them ---- */

static void add_request (Timeline *t, gint64 at_ms, const json_t *message)
{
  const json_t *origin = json_object_get (message, "origin");
  const char *id = ch_json_get_string (origin, "request_id", NULL);
  const char *key = ch_json_get_string (origin, "key", NULL);

  if (id == NULL || !g_hash_table_add (t->requests, g_strdup (id)))
    return;
  json_t *data = json_object ();
  set (data, "request_id", json_string (id));
  if (key != NULL)
    set (data, "key_id", json_string (key));
  set (data, "device_id", json_string (ch_json_get_string (message, "phy_id", "")));
  add (t, at_ms, "http_request", ch_json_get_string (origin, "by", "api"),
       ch_json_get_string (message, "type", ""), data, NULL);
}

static void add_commands (Timeline *t)
{
  static const char *const states[] = {"queued", "sent", "done", "failed"};
  const ChTxResult *r = t->r;

  for (guint row = 0; row < ch_tx_result_rows (r, COMMANDS); row++) {
    g_autoptr (json_t) message = parsed (ch_tx_result_text (r, COMMANDS, row, "message"));
    g_autoptr (json_t) result = parsed (ch_tx_result_text (r, COMMANDS, row, "result"));
    const char *problem = ch_tx_result_text (r, COMMANDS, row, "last_error");
    gint64 created_at = ch_tx_result_time (r, COMMANDS, row, "created_at");
    gint64 status = CLAMP (ch_tx_result_int (r, COMMANDS, row, "status"), 0, 3);
    json_t *attempts = json_object_get (result, "attempts");
    json_t *data = json_object ();

    add_request (t, created_at, message);
    set (data, "command_id",
         json_string (ch_tx_result_text (r, COMMANDS, row, "command_id")));
    set (data, "state",
         json_string (ch_json_get_string (result, "state", states[status])));
    set (data, "sends",
         json_integer (ch_tx_result_int (r, COMMANDS, row, "retry_count")));
    set (data, "sent_at", ch_json_time (ch_tx_result_time (r, COMMANDS, row, "sent_at")));
    set (data, "finished_at",
         ch_json_time (ch_tx_result_time (r, COMMANDS, row, "finished_at")));
    set (data, "error", problem != NULL ? json_string (problem) : json_null ());
    set (data, "attempts", attempts != NULL ? json_incref (attempts) : json_array ());
    set (data, "payload", json_incref (json_object_get (message, "payload")));
    t->errors += status == 3;
    t->sent += ch_tx_result_time (r, COMMANDS, row, "sent_at") != CH_UNSET;
    add (t, created_at, "outbound_cmd", "outbound",
         ch_tx_result_text (r, COMMANDS, row, "type"), data, NULL);
  }
}

/* ---- frames ---- */

static void set_if_known (json_t *data, const Timeline *t, guint row, const char *column)
{
  gint64 value = ch_tx_result_int (t->r, FRAMES, row, column);
  if (value != CH_UNSET)
    set (data, column, json_integer (value));
}

static void set_text (json_t *data, const Timeline *t, guint row, const char *column)
{
  const char *text = ch_tx_result_text (t->r, FRAMES, row, column);
  if (text != NULL)
    set (data, column, json_string (text));
}

static void add_frames (Timeline *t)
{
  for (guint row = 0; row < ch_tx_result_rows (t->r, FRAMES); row++) {
    gboolean up = ch_tx_result_int (t->r, FRAMES, row, "direction") == 0;
    const char *protocol = ch_tx_result_text (t->r, FRAMES, row, "protocol");
    gsize size = 0;
    const guint8 *bytes = ch_tx_result_blob (t->r, FRAMES, row, "payload", &size);
    g_autofree char *raw = bytes != NULL ? ch_hex (bytes, size) : NULL;
    g_autofree char *description = g_strdup_printf (
        "frame %" G_GINT64_FORMAT " %s", ch_tx_result_int (t->r, FRAMES, row, "cmd"),
        up ? "of the device" : "to the device");
    json_t *data = json_object ();
    set_if_known (data, t, row, "cmd");
    set_if_known (data, t, row, "msg_id");
    set_if_known (data, t, row, "err_code");
    set_if_known (data, t, row, "duration_ms");
    set_text (data, t, row, "command_id");
    set_text (data, t, row, "order_no");
    set_text (data, t, row, "conn_id");
    if (!ch_tx_result_is_null (t->r, FRAMES, row, "success"))
      set (data, "success",
           json_boolean (ch_tx_result_bool (t->r, FRAMES, row, "success")));
    add (t, ch_tx_result_time (t->r, FRAMES, row, "created_at"),
         up ? "device_report" : "outbound_cmd", protocol != NULL ? protocol : "",
         description, data, raw);
  }
}

/* ---- events ---- */

static gint64 add_events (Timeline *t)
{
  gint64 pushed = 0;
  for (guint row = 0; row < ch_tx_result_rows (t->r, EVENTS); row++) {
    gint64 status = ch_tx_result_int (t->r, EVENTS, row, "status");
    gint64 pushed_at = ch_tx_result_time (t->r, EVENTS, row, "pushed_at");
    const char *problem = ch_tx_result_text (t->r, EVENTS, row, "error_message");
    json_t *data = parsed (ch_tx_result_text (t->r, EVENTS, row, "event_data"));
    set (data, "event_id",
         json_string (ch_tx_result_text (t->r, EVENTS, row, "event_id")));
    set (data, "sequence_no",
         json_integer (ch_tx_result_int (t->r, EVENTS, row, "sequence_no")));
    set (data, "pushed_at", ch_json_time (pushed_at));
    if (problem != NULL)
      set (data, "error_message", json_string (problem));
    pushed += pushed_at != CH_UNSET;
    t->errors += status == 2;
    add (t, ch_tx_result_time (t->r, EVENTS, row, "created_at"), "event_push", "events",
         ch_tx_result_text (t->r, EVENTS, row, "event_type"), data, NULL);
  }
  return pushed;
}

/* ---- all of it ---- */

static gint by_time (gconstpointer a, gconstpointer b)
{
  const Entry *x = a, *y = b;
  if (x->at_ms != y->at_ms)
    return x->at_ms < y->at_ms ? -1 : 1;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static json_t *merge (Timeline *t)
{
  json_t *timeline = json_object (), *list = json_array (), *summary = json_object ();
  add_commands (t); /* first: a request comes before what it caused */
  add_steps (t);
  gint64 pushed = add_events (t);
  add_frames (t);
  g_array_sort (t->entries, by_time);
  for (guint i = 0; i < t->entries->len; i++)
    json_array_append_new (list, g_array_index (t->entries, Entry, i).json);
  set (summary, "total_events", json_integer ((json_int_t) json_array_size (list)));
  set (summary, "commands_sent", json_integer (t->sent));
  set (summary, "events_pushed", json_integer (pushed));
  set (summary, "errors", json_integer (t->errors));
  set (summary, "final_status",
       json_string (ch_order_status_name (
           (ChOrderStatus) ch_tx_result_int (t->r, ORDER, 0, "status"))));
  if (ch_tx_result_rows (t->r, FRAMES) >= FRAMES_MAX)
    set (summary, "truncated", json_true ());
  set (timeline, "order_no", json_string (t->order_no));
  set (timeline, "device_id", json_string (ch_tx_result_text (t->r, ORDER, 0, "phy_id")));
  set (timeline, "events", list);
  set (timeline, "summary", summary);
  return timeline;
}

static void got_timeline (ChPlugin *self, const ChTxResult *r, const GError *error,
                          gpointer user_data)
{
  g_autofree Timeline *t = user_data;
  if (error != NULL)
    ch_ask_store_failed (t->ask, error);
  else if (ch_tx_result_rows (r, ORDER) == 0)
    ch_ask_refuse (t->ask, CH_CORE_ERROR_ORDER_NOT_FOUND, "no such order");
  else {
    g_autoptr (json_t) data = json_object ();
    t->r = r;
    t->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
    t->requests = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    set (data, "timeline", merge (t));
    g_array_unref (t->entries);
    g_hash_table_unref (t->requests);
    ch_ask_answer (t->ask, data, NULL);
  }
}

void ch_core_order_timeline (ChPlugin *self, const char *order_no, ChCoreDone done,
                             gpointer user_data)
{
  static const char *const statements[] = {
      [ORDER] = "timeline.order",
      [COMMANDS] = "timeline.commands",
      [FRAMES] = "timeline.frames",
      [EVENTS] = "events.of_order",
  };
  ChPlugin *core = ch_core_of (self)->self;
  Timeline *t = g_new0 (Timeline, 1);
  ChTx *tx = ch_tx_new (core);

  t->ask = ch_ask_new (self, done, user_data);
  g_strlcpy (t->order_no, order_no, sizeof t->order_no);
  for (guint i = 0; i < G_N_ELEMENTS (statements); i++) {
    ch_tx_add (tx, core, statements[i]);
    ch_tx_bind_text (tx, "order_no", order_no);
    if (i == FRAMES) {
      ch_tx_bind_time (tx, "now", ch_wall_ms (core));
      ch_tx_bind_int (tx, "count", FRAMES_MAX);
    }
  }
  ch_tx_submit (tx, 0, got_timeline, t);
}
