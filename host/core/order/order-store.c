/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-store.h"
#include <chargehost/json.h>

#define COLUMNS                                                                          \
  "o.id, d.phy_id, o.socket_no, o.port_no, o.order_no, o.business_no, o.wire_order,"     \
  " o.source, o.charge_mode, o.target_duration_s, o.target_energy_wh, o.max_power_w,"    \
  " o.amount_limit_cent, o.price_per_kwh_cent, o.service_fee_permille, o.card_no,"       \
  " o.start_time, o.end_time, o.duration_s, o.energy_wh, o.electricity_cent,"            \
  " o.service_cent, o.amount_cent, o.device_amount_cent, o.end_reason, o.raw_reason,"    \
  " o.status, o.resume_status, o.provisional, o.failure_reason, o.settlement_rev,"       \
  " o.lookup_source, o.end_key, o.alias_wire_order, o.start_command_id,"                 \
  " o.stop_command_id, o.sent_at, o.ack_at, o.interrupted_at, o.last_progress_at,"       \
  " o.peak_power_mw, o.last_power_mw, o.base_energy_wh, o.version, o.metadata, "         \
  "o.test_session_id,"                                                                   \
  " o.created_at, o.updated_at"
#define FROM " FROM orders o JOIN devices d ON d.id = o.device_id "

#define UPDATE(history)                                                                  \
  "UPDATE orders SET status = :status, resume_status = :resume_status,"                  \
  " provisional = :provisional, port_no = :port_no, business_no = :business_no,"         \
  " wire_order = :wire_order, alias_wire_order = :alias_wire_order,"                     \
  " start_time = :start_time, end_time = :end_time, duration_s = :duration_s,"           \
  " energy_wh = :energy_wh, electricity_cent = :electricity_cent,"                       \
  " service_cent = :service_cent, amount_cent = :amount_cent,"                           \
  " device_amount_cent = :device_amount_cent, end_reason = :end_reason,"                 \
  " raw_reason = :raw_reason, failure_reason = :failure_reason,"                         \
  " settlement_rev = :settlement_rev, lookup_source = :lookup_source,"                   \
  " end_key = :end_key, start_command_id = :start_command_id,"                           \
  " stop_command_id = :stop_command_id, sent_at = :sent_at, ack_at = :ack_at,"           \
  " interrupted_at = :interrupted_at, last_progress_at = :last_progress_at,"             \
  " peak_power_mw = :peak_power_mw, last_power_mw = :last_power_mw,"                     \
  " base_energy_wh = :base_energy_wh,"                                                   \
  " status_history = " history ", version = :version, updated_at = :updated_at"          \
  " WHERE order_no = :order_no AND status = :old_status AND version = :old_version"

const ChStatement ch_order_statements[] = {
    {.name = "orders.insert",
     .sql
     = "INSERT INTO orders (device_id, socket_no, port_no, order_no, business_no,"
       " wire_order, source, charge_mode, target_duration_s, target_energy_wh,"
       " max_power_w, amount_limit_cent, price_per_kwh_cent, service_fee_permille,"
       " card_no, start_time, end_time, duration_s, energy_wh, electricity_cent,"
       " service_cent, amount_cent, device_amount_cent, end_reason, raw_reason, status,"
       " provisional, failure_reason, lookup_source, end_key, start_command_id,"
       " last_power_mw, status_history, metadata, created_at, updated_at)"
       " SELECT id, :socket_no, :port_no, :order_no, :business_no, :wire_order, :source,"
       " :charge_mode, :target_duration_s, :target_energy_wh, :max_power_w,"
       " :amount_limit_cent, :price_per_kwh_cent, :service_fee_permille, :card_no,"
       " :start_time, :end_time, :duration_s, :energy_wh, :electricity_cent,"
       " :service_cent, :amount_cent, :device_amount_cent, :end_reason, :raw_reason,"
       " :status, :provisional, :failure_reason, :lookup_source, :end_key,"
       " :start_command_id, :last_power_mw, :status_history, :metadata, :created_at,"
       " :created_at FROM devices WHERE phy_id = :phy_id RETURNING id"},
    {.name = "orders.update",
     .sqlite = UPDATE ("CASE WHEN :history IS NULL THEN status_history ELSE"
                       " json_insert (status_history, '$[#]', json (:history)) END"),
     .pgsql = UPDATE ("CASE WHEN :history::jsonb IS NULL THEN status_history ELSE"
                      " status_history || :history::jsonb END")},
    {.name = "orders.progress",
     .sql = "UPDATE orders SET energy_wh = :energy_wh, duration_s = :duration_s,"
            " last_progress_at = :last_progress_at, peak_power_mw = :peak_power_mw,"
            " last_power_mw = :last_power_mw, base_energy_wh = :base_energy_wh,"
            " sent_at = coalesce (sent_at, :sent_at), updated_at = :updated_at"
            " WHERE order_no = :order_no AND status IN (0, 1, 2, 8, 9, 10)"},
    {.name = "orders.load_active",
     .sql = "SELECT " COLUMNS FROM "WHERE o.status IN (0, 1, 2, 8, 9, 10) ORDER BY o.id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.active_of_device",
     .sql = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
            " WHERE phy_id = :phy_id) AND o.status IN (0, 1, 2, 8, 9, 10) ORDER BY o.id",
     .flags = CH_STATEMENT_READ_ONLY},
    /* Devices with active orders that nobody touched for a while. */
    {.name = "orders.orphans",
     .sql = "SELECT DISTINCT o.device_id, d.phy_id" FROM
            "WHERE o.status IN (0, 1, 2, 8, 9, 10) AND o.device_id > :after"
            " AND o.updated_at < :before ORDER BY o.device_id LIMIT :count",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.by_no",
     .sql = "SELECT " COLUMNS FROM "WHERE o.order_no = :order_no",
     .flags = CH_STATEMENT_READ_ONLY},
    /* The same among the writes: it sees all that was submitted before it. */
    {.name = "orders.by_no_behind",
     .sql = "SELECT " COLUMNS FROM "WHERE o.order_no = :order_no"},
    /* Newest first: numbers of devices come again after a while. */
    {.name = "orders.by_wire",
     .sql = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
            " WHERE phy_id = :phy_id) AND o.wire_order = :wire_order"
            " AND o.updated_at >= :since ORDER BY o.id DESC LIMIT 4",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.by_alias",
     .sql = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
            " WHERE phy_id = :phy_id) AND o.alias_wire_order = :wire_order"
            " AND o.updated_at >= :since ORDER BY o.id DESC LIMIT 1",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.by_business",
     .sql = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
            " WHERE phy_id = :phy_id) AND o.socket_no = :socket_no"
            " AND o.port_no IN (:port_no, -1) AND o.business_no = :business_no AND "
            "o.updated_at >= :since"
            " ORDER BY o.id DESC LIMIT 4",
     .flags = CH_STATEMENT_READ_ONLY},
    /* A copy of a report that has no key; not of a replica, as it may be a moment old. */
    {.name = "orders.by_end_key",
     .sql
     = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
       " WHERE phy_id = :phy_id) AND o.socket_no = :socket_no AND o.port_no = :port_no"
       " AND o.end_key = :end_key AND o.updated_at >= :since ORDER BY o.id DESC LIMIT 1"},
    /* The last orders of a port: the one that holds it, and those before. */
    {.name = "orders.last_of_port",
     .sql = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
            " WHERE phy_id = :phy_id) AND o.port_no IN (:port_no, -1) AND o.socket_no = "
            ":socket_no"
            " ORDER BY o.id DESC LIMIT 8",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.recent_numbers",
     .sql
     = "SELECT o.business_no FROM orders o WHERE o.device_id = (SELECT id FROM devices"
       " WHERE phy_id = :phy_id) AND o.created_at >= :since AND o.business_no > 0",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.list",
     .sql = "SELECT " COLUMNS FROM "WHERE (:status = -1 OR o.status = :status)"
            " AND o.created_at >= :from_at AND o.created_at <= :to_at AND o.id < :before"
            " ORDER BY o.created_at DESC, o.id DESC LIMIT :count OFFSET :skip",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.count",
     .sql = "SELECT count (*) AS total FROM orders o WHERE (:status = -1 OR o.status = "
            ":status)"
            " AND o.created_at >= :from_at AND o.created_at <= :to_at",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.list_device",
     .sql = "SELECT " COLUMNS FROM "WHERE o.device_id = (SELECT id FROM devices"
            " WHERE phy_id = :phy_id) AND (:status = -1 OR o.status = :status)"
            " AND o.created_at >= :from_at AND o.created_at <= :to_at AND o.id < :before"
            " ORDER BY o.created_at DESC, o.id DESC LIMIT :count OFFSET :skip",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "orders.count_device",
     .sql = "SELECT count (*) AS total FROM orders o WHERE o.device_id = (SELECT id FROM "
            "devices"
            " WHERE phy_id = :phy_id) AND (:status = -1 OR o.status = :status)"
            " AND o.created_at >= :from_at AND o.created_at <= :to_at",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "events.insert",
     .sql = "INSERT INTO events (event_id, order_no, phy_id, event_type, event_data,"
            " sequence_no, dedup_key, occurred_at, created_at)"
            " SELECT :event_id, :order_no, :phy_id, :event_type, :event_data,"
            " coalesce (max (sequence_no), 0) + 1, :dedup_key, :occurred_at, :created_at"
            " FROM events WHERE order_no = :order_no"
            " ON CONFLICT DO NOTHING"},
    {.name = "events.of_order",
     .sql = "SELECT event_id, event_type, event_data, sequence_no, status, retry_count,"
            " occurred_at, created_at, pushed_at, error_message FROM events"
            " WHERE order_no = :order_no ORDER BY sequence_no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "events.expire",
     .sqlite = "DELETE FROM events WHERE id IN (SELECT id FROM events"
               " WHERE created_at < :before ORDER BY created_at LIMIT 1000)",
     .pgsql = "DELETE FROM events WHERE id IN (SELECT id FROM events"
              " WHERE created_at < :before ORDER BY created_at LIMIT 1000)"},
    {.name = NULL},
};

char *ch_order_history (gint status, gint64 wall_ms, const char *reason, const char *by)
{
  g_autoptr (json_t) entry = json_object ();
  json_object_set_new_nocheck (entry, "status", json_integer (status));
  json_object_set_new_nocheck (entry, "timestamp", ch_json_time (wall_ms));
  json_object_set_new_nocheck (entry, "reason",
                               json_string (reason != NULL ? reason : ""));
  json_object_set_new_nocheck (entry, "by", json_string (by != NULL ? by : ""));
  return ch_json_dump (entry);
}

static const char *text_or_null (const char *text)
{
  return text != NULL && *text != '\0' ? text : NULL;
}

/* What both inserting and updating bind. */
static void bind_common (const ChOrderData *d, ChTx *tx)
{
  ch_tx_bind_int (tx, "port_no", d->port_no);
  ch_tx_bind_text (tx, "order_no", d->order_no);
  ch_tx_bind_int (tx, "business_no", d->business_no);
  ch_tx_bind_text (tx, "wire_order", text_or_null (d->wire_order));
  ch_tx_bind_time (tx, "start_time", d->start_time);
  ch_tx_bind_time (tx, "end_time", d->end_time);
  ch_tx_bind_int (tx, "duration_s", d->duration_s);
  ch_tx_bind_int (tx, "energy_wh", d->energy_wh);
  ch_tx_bind_int (tx, "electricity_cent", d->electricity_cent);
  ch_tx_bind_int (tx, "service_cent", d->service_cent);
  ch_tx_bind_int (tx, "amount_cent", d->amount_cent);
  ch_tx_bind_int (tx, "device_amount_cent", d->device_amount_cent);
  ch_tx_bind_int (tx, "end_reason", d->end_reason);
  ch_tx_bind_int (tx, "raw_reason", d->raw_reason);
  ch_tx_bind_int (tx, "status", d->status);
  ch_tx_bind_bool (tx, "provisional", d->provisional);
  ch_tx_bind_text (tx, "failure_reason", text_or_null (d->failure_reason));
  ch_tx_bind_text (tx, "lookup_source", text_or_null (d->lookup_source));
  ch_tx_bind_text (tx, "end_key", text_or_null (d->end_key));
  ch_tx_bind_text (tx, "start_command_id", text_or_null (d->start_command_id));
  ch_tx_bind_int (tx, "last_power_mw", d->last_power_mw);
}

guint ch_order_insert (const ChOrder *order, ChTx *tx)
{
  const ChOrderData *d = &order->d;
  g_autofree char *entry
      = ch_order_history (d->status, d->created_at, "created",
                          ch_order_source_name ((ChOrderSource) d->source));
  g_autofree char *history = g_strdup_printf ("[%s]", entry);

  guint index = ch_tx_add (tx, order->device->core->self, "orders.insert");
  ch_tx_bind_int (tx, "socket_no", d->socket_no);
  bind_common (d, tx);
  ch_tx_bind_text (tx, "source", ch_order_source_name ((ChOrderSource) d->source));
  ch_tx_bind_int (tx, "charge_mode", d->charge_mode);
  ch_tx_bind_int (tx, "target_duration_s", d->target_duration_s);
  ch_tx_bind_int (tx, "target_energy_wh", d->target_energy_wh);
  ch_tx_bind_int (tx, "max_power_w", d->max_power_w);
  ch_tx_bind_int (tx, "amount_limit_cent", d->amount_limit_cent);
  ch_tx_bind_int (tx, "price_per_kwh_cent", d->price_per_kwh_cent);
  ch_tx_bind_int (tx, "service_fee_permille", d->service_fee_permille);
  ch_tx_bind_text (tx, "card_no", order->card_no);
  ch_tx_bind_json (tx, "status_history", history);
  ch_tx_bind_json (tx, "metadata", order->metadata != NULL ? order->metadata : "{}");
  ch_tx_bind_time (tx, "created_at", d->created_at);
  ch_tx_bind_text (tx, "phy_id", order->device->id);
  ch_tx_guard (tx, 1, 1);
  return index;
}

guint ch_order_update (const ChOrder *order, const ChOrderData *next, const char *history,
                       ChTx *tx)
{
  guint index = ch_tx_add (tx, order->device->core->self, "orders.update");
  bind_common (next, tx);
  ch_tx_bind_int (tx, "resume_status", next->resume_status);
  ch_tx_bind_text (tx, "alias_wire_order", text_or_null (next->alias_wire_order));
  ch_tx_bind_int (tx, "settlement_rev", next->settlement_rev);
  ch_tx_bind_text (tx, "stop_command_id", text_or_null (next->stop_command_id));
  ch_tx_bind_time (tx, "sent_at", next->sent_at);
  ch_tx_bind_time (tx, "ack_at", next->ack_at);
  ch_tx_bind_time (tx, "interrupted_at", next->interrupted_at);
  ch_tx_bind_time (tx, "last_progress_at", next->last_progress_at);
  ch_tx_bind_int (tx, "peak_power_mw", next->peak_power_mw);
  ch_tx_bind_int (tx, "base_energy_wh", next->base_energy_wh);
  if (history != NULL)
    ch_tx_bind_json (tx, "history", history);
  else
    ch_tx_bind_null (tx, "history");
  ch_tx_bind_int (tx, "version", next->version);
  ch_tx_bind_time (tx, "updated_at", next->updated_at);
  ch_tx_bind_int (tx, "old_status", order->d.status);
  ch_tx_bind_int (tx, "old_version", order->d.version);
  ch_tx_guard (tx, 1, 1);
  return index;
}

void ch_order_store_progress (const ChOrder *order, ChTx *tx)
{
  ch_tx_add (tx, order->device->core->self, "orders.progress");
  ch_tx_bind_int (tx, "energy_wh", order->d.energy_wh);
  ch_tx_bind_int (tx, "duration_s", order->d.duration_s);
  ch_tx_bind_time (tx, "last_progress_at", order->d.last_progress_at);
  ch_tx_bind_int (tx, "peak_power_mw", order->d.peak_power_mw);
  ch_tx_bind_int (tx, "last_power_mw", order->d.last_power_mw);
  ch_tx_bind_int (tx, "base_energy_wh", order->d.base_energy_wh);
  ch_tx_bind_time (tx, "sent_at", order->d.sent_at);
  ch_tx_bind_time (tx, "updated_at", ch_wall_ms (order->device->core->self));
  ch_tx_bind_text (tx, "order_no", order->d.order_no);
}
