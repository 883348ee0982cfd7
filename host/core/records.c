/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of the outbox and parameters of devices, as they are stored. */
#include "base/text.h"
#include "core/core-admin.h"
#include "core/device/device.h"
#include <chargehost/json.h>

#include <string.h>

#define WINDOW "5000" /* rows that one call looks at */
#define PARAMS_MAX 2000

/* Events after the one that is named; an unknown name begins at the beginning. */
#define NEWER                                                                            \
  " FROM events WHERE id > coalesce ((SELECT id FROM events WHERE event_id = :after), "  \
  "0) ORDER BY id LIMIT " WINDOW
#define EVENT_COLUMNS                                                                    \
  "id, event_id, order_no, phy_id, event_type, event_data, sequence_no, status,"         \
  " retry_count, created_at, pushed_at, error_message"
#define FRAME_COLUMNS                                                                    \
  "id, msg_id, cmd, direction, payload, success, err_code, duration_ms, command_id,"     \
  " order_no, conn_id, protocol, created_at"

const ChStatement ch_record_statements[] = {
    {.name = "events.newer",
     .sqlite = "SELECT " EVENT_COLUMNS " FROM (SELECT " EVENT_COLUMNS NEWER ")"
               " WHERE :types = '' OR instr (:types, ',' || event_type || ',') > 0"
               " ORDER BY id LIMIT :count",
     .pgsql = "SELECT " EVENT_COLUMNS " FROM (SELECT " EVENT_COLUMNS NEWER ") AS newer"
              " WHERE :types = '' OR strpos (:types, ',' || event_type || ',') > 0"
              " ORDER BY id LIMIT :count",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "events.window",
     .sqlite = "SELECT event_id FROM (SELECT id, event_id" NEWER ")"
               " ORDER BY id DESC LIMIT 1",
     .pgsql = "SELECT event_id FROM (SELECT id, event_id" NEWER ") AS newer"
              " ORDER BY id DESC LIMIT 1",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "timeline.order",
     .sql = "SELECT d.phy_id, o.status, o.status_history, o.source, o.created_at"
            " FROM orders o JOIN devices d ON d.id = o.device_id"
            " WHERE o.order_no = :order_no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "timeline.commands",
     .sql = "SELECT command_id, type, message, result, status, retry_count, last_error,"
            " created_at, sent_at, finished_at FROM outbound_queue"
            " WHERE order_no = :order_no ORDER BY id LIMIT 200",
     .flags = CH_STATEMENT_READ_ONLY},
    /* What the device and we said while the order lived, and later frames of its own. */
    {.name = "timeline.frames",
     .sql = "SELECT " FRAME_COLUMNS " FROM cmd_log WHERE device_id ="
            " (SELECT device_id FROM orders WHERE order_no = :order_no)"
            " AND created_at BETWEEN"
            " (SELECT created_at FROM orders WHERE order_no = :order_no)"
            " AND (SELECT CASE WHEN status IN (0, 1, 2, 8, 9, 10) THEN :now"
            " ELSE updated_at END FROM orders WHERE order_no = :order_no)"
            " UNION SELECT " FRAME_COLUMNS " FROM cmd_log WHERE order_no = :order_no"
            " ORDER BY created_at, id LIMIT :count",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "params.of_device",
     .sql = "SELECT socket_no, param_id, param_value, msg_id, command_id, status,"
            " created_at, confirmed_at, error_message FROM device_params"
            " WHERE device_id = (SELECT id FROM devices WHERE phy_id = :phy_id)"
            " ORDER BY socket_no, param_id LIMIT :count",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

static void set (json_t *object, const char *name, json_t *value)
{
  json_object_set_new_nocheck (object, name, value);
}

static json_t *text_of (const ChTxResult *r, guint st, guint row, const char *column)
{
  const char *text = ch_tx_result_text (r, st, row, column);
  return text != NULL ? json_string (text) : json_null ();
}

static json_t *int_of (const ChTxResult *r, guint st, guint row, const char *column)
{
  gint64 value = ch_tx_result_int (r, st, row, column);
  return value != CH_UNSET ? json_integer (value) : json_null ();
}

/* ---- events ---- */

static json_t *event_json (const ChTxResult *r, guint row)
{
  static const char *const states[] = {"pending", "sent", "failed"};
  json_t *event = json_object ();
  const char *text = ch_tx_result_text (r, 0, row, "event_data");
  json_t *data = text != NULL ? ch_json_parse (text, strlen (text), NULL) : NULL;
  gint64 status = ch_tx_result_int (r, 0, row, "status");

  set (event, "event_id", text_of (r, 0, row, "event_id"));
  set (event, "event_type", text_of (r, 0, row, "event_type"));
  set (event, "sequence_no", int_of (r, 0, row, "sequence_no"));
  set (event, "status", json_string (states[CLAMP (status, 0, 2)]));
  set (event, "retry_count", int_of (r, 0, row, "retry_count"));
  set (event, "created_at", ch_json_time (ch_tx_result_time (r, 0, row, "created_at")));
  set (event, "pushed_at", ch_json_time (ch_tx_result_time (r, 0, row, "pushed_at")));
  set (event, "error_message", text_of (r, 0, row, "error_message"));
  set (event, "data", data != NULL ? data : json_object ());
  return event;
}

typedef struct {
  ChAsk *ask;
  char name[CH_DEVICE_ID_SIZE]; /* of the order or the device */
} Asked;

static Asked *asked_new (ChPlugin *self, const char *name, ChCoreDone done,
                         gpointer user_data)
{
  Asked *asked = g_new0 (Asked, 1);
  asked->ask = ch_ask_new (self, done, user_data);
  g_strlcpy (asked->name, name, sizeof asked->name);
  return asked;
}

static void got_order_events (ChPlugin *self, const ChTxResult *r, const GError *error,
                              gpointer user_data)
{
  g_autofree Asked *asked = user_data;
  if (error != NULL) {
    ch_ask_store_failed (asked->ask, error);
    return;
  }
  g_autoptr (json_t) data = json_object ();
  json_t *list = json_array ();
  for (guint row = 0; row < ch_tx_result_rows (r, 0); row++)
    json_array_append_new (list, event_json (r, row));
  set (data, "order_no", json_string (asked->name));
  set (data, "total_events", json_integer ((json_int_t) json_array_size (list)));
  set (data, "events", list);
  ch_ask_answer (asked->ask, data, NULL);
}

void ch_core_order_events (ChPlugin *self, const char *order_no, ChCoreDone done,
                           gpointer user_data)
{
  ChPlugin *core = ch_core_of (self)->self;
  ChTx *tx = ch_tx_new (core);
  ch_tx_add (tx, core, "events.of_order");
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_tx_submit (tx, 0, got_order_events, asked_new (self, order_no, done, user_data));
}

typedef struct {
  ChAsk *ask;
  gint64 limit;
} Listing;

static void got_events (ChPlugin *self, const ChTxResult *r, const GError *error,
                        gpointer user_data)
{
  g_autofree Listing *listing = user_data;
  if (error != NULL) {
    ch_ask_store_failed (listing->ask, error);
    return;
  }
  g_autoptr (json_t) data = json_object ();
  json_t *list = json_array (), *next = NULL;
  guint rows = ch_tx_result_rows (r, 0);
  for (guint row = 0; row < rows; row++) {
    json_t *event = event_json (r, row);
    set (event, "order_no", text_of (r, 0, row, "order_no"));
    set (event, "device_id", text_of (r, 0, row, "phy_id"));
    json_array_append_new (list, event);
  }
  if (rows == listing->limit)
    next = text_of (r, 0, rows - 1, "event_id");
  else if (ch_tx_result_rows (r, 1) > 0)
    next = text_of (r, 1, 0, "event_id");
  set (data, "events", list);
  set (data, "next", next != NULL ? next : json_null ());
  ch_ask_answer (listing->ask, data, NULL);
}

void ch_core_list_events (ChPlugin *self, const char *after, const char *types,
                          gint64 limit, ChCoreDone done, gpointer user_data)
{
  ChPlugin *core = ch_core_of (self)->self;
  g_autofree char *wanted
      = types != NULL && *types != '\0' ? g_strdup_printf (",%s,", types) : g_strdup ("");
  Listing *listing = g_new0 (Listing, 1);
  ChTx *tx = ch_tx_new (core);

  listing->ask = ch_ask_new (self, done, user_data);
  listing->limit = CLAMP (limit, 1, 500);
  ch_tx_add (tx, core, "events.newer");
  ch_tx_bind_text (tx, "after", after != NULL ? after : "");
  ch_tx_bind_text (tx, "types", wanted);
  ch_tx_bind_int (tx, "count", listing->limit);
  ch_tx_add (tx, core, "events.window");
  ch_tx_bind_text (tx, "after", after != NULL ? after : "");
  ch_tx_submit (tx, 0, got_events, listing);
}

/* ---- parameters of a device ---- */

/* Text when all of it can be shown as text. */
static json_t *readable (const guint8 *bytes, gsize size)
{
  const char *text = (const char *) bytes;
  if (!g_utf8_validate (text, (gssize) size, NULL))
    return json_null ();
  for (gsize i = 0; i < size; i++)
    if (g_ascii_iscntrl (text[i]))
      return json_null ();
  return json_stringn (text, size);
}

static json_t *param_json (const ChTxResult *r, guint row)
{
  static const char *const states[] = {"pending", "confirmed", "failed"};
  json_t *param = json_object ();
  gsize size = 0;
  const guint8 *bytes = ch_tx_result_blob (r, 0, row, "param_value", &size);
  g_autofree char *hex = bytes != NULL ? ch_hex (bytes, size) : NULL;
  gint64 status = ch_tx_result_int (r, 0, row, "status");

  set (param, "socket_no", int_of (r, 0, row, "socket_no"));
  set (param, "param_id", int_of (r, 0, row, "param_id"));
  set (param, "value", bytes != NULL ? readable (bytes, size) : json_null ());
  set (param, "value_hex", hex != NULL ? json_string (hex) : json_null ());
  set (param, "msg_id", int_of (r, 0, row, "msg_id"));
  set (param, "command_id", text_of (r, 0, row, "command_id"));
  set (param, "status", json_string (states[CLAMP (status, 0, 2)]));
  set (param, "created_at", ch_json_time (ch_tx_result_time (r, 0, row, "created_at")));
  set (param, "confirmed_at",
       ch_json_time (ch_tx_result_time (r, 0, row, "confirmed_at")));
  set (param, "error_msg", text_of (r, 0, row, "error_message"));
  return param;
}

static void got_params (ChPlugin *self, const ChTxResult *r, const GError *error,
                        gpointer user_data)
{
  g_autofree Asked *asked = user_data;
  if (error != NULL) {
    ch_ask_store_failed (asked->ask, error);
    return;
  }
  g_autoptr (json_t) data = json_object ();
  json_t *list = json_array ();
  for (guint row = 0; row < ch_tx_result_rows (r, 0); row++)
    json_array_append_new (list, param_json (r, row));
  set (data, "phy_id", json_string (asked->name));
  set (data, "params", list);
  ch_ask_answer (asked->ask, data, NULL);
}

void ch_core_device_params (ChPlugin *self, const char *device, ChCoreDone done,
                            gpointer user_data)
{
  ChCore *core = ch_core_of (self);
  if (ch_device_find (core, device) == NULL) {
    ch_ask_refuse (ch_ask_new (self, done, user_data), CH_CORE_ERROR_DEVICE_NOT_FOUND,
                   "no such device");
    return;
  }
  ChTx *tx = ch_tx_new (core->self);
  ch_tx_add (tx, core->self, "params.of_device");
  ch_tx_bind_text (tx, "phy_id", device);
  ch_tx_bind_int (tx, "count", PARAMS_MAX);
  ch_tx_submit (tx, 0, got_params, asked_new (self, device, done, user_data));
}
