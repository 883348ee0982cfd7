/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/device-admin.h"
#include "core/core-admin.h"
#include "core/device.h"
#include "core/facts.h"
#include "core/order-home.h"
#include "core/order.h"
#include "core/outbound.h"
#include "core/session.h"
#include <chargehost/json.h>

#include <string.h>

#define WAITING_MAX 256
#define DELETED 2 /* place of devices.delete in its transaction */

const ChStatement ch_device_admin_statements[] = {
    {.name = "devices.admin",
     .sql = "INSERT INTO devices (phy_id, protocol, iccid, imei, model, port_count,"
            " lifecycle, enrolment, tags, created_at, updated_at)"
            " VALUES (:phy_id, :protocol, :iccid, :imei, :model, :port_count, :lifecycle,"
            " :enrolment, :tags, :now, :now)"
            " ON CONFLICT (phy_id) DO UPDATE SET"
            " protocol = CASE WHEN coalesce (devices.protocol, '') = ''"
            " THEN excluded.protocol ELSE devices.protocol END,"
            " iccid = coalesce (excluded.iccid, devices.iccid),"
            " imei = coalesce (excluded.imei, devices.imei),"
            " model = coalesce (excluded.model, devices.model),"
            " port_count = coalesce (excluded.port_count, devices.port_count),"
            " lifecycle = excluded.lifecycle, enrolment = excluded.enrolment,"
            " tags = excluded.tags, updated_at = excluded.updated_at RETURNING id"},
    {.name = "devices.decommission",
     .sql = "UPDATE devices SET lifecycle = 'decommissioned', updated_at = :now"
            " WHERE phy_id = :phy_id AND NOT EXISTS (SELECT 1 FROM orders"
            " WHERE orders.device_id = devices.id"
            " AND orders.status IN (0, 1, 2, 8, 9, 10))"},
    {.name = "devices.delete",
     .sql = "DELETE FROM devices WHERE phy_id = :phy_id AND NOT EXISTS"
            " (SELECT 1 FROM orders WHERE orders.device_id = devices.id) AND NOT EXISTS"
            " (SELECT 1 FROM ota_tasks WHERE ota_tasks.device_id = devices.id)"
            " AND NOT EXISTS (SELECT 1 FROM card_transactions"
            " WHERE card_transactions.device_id = devices.id) AND NOT EXISTS"
            " (SELECT 1 FROM gateway_sockets WHERE gateway_sockets.device_id ="
            " devices.id)"},
    {.name = "sockets.delete_all",
     .sql = "DELETE FROM gateway_sockets WHERE gateway_id = :phy_id AND NOT EXISTS"
            " (SELECT 1 FROM devices WHERE phy_id = :phy_id)"},
    {.name = NULL},
};

typedef enum { REGISTER, CHANGE, RETIRE, IMPORT } Kind;

/* One device of a job: what is wished, and from run() on what it will be. */
typedef struct {
  char id[CH_DEVICE_ID_SIZE];
  char *protocol, *iccid, *imei, *model;
  json_t *patch;
  gint port_count, lifecycle, enrolment;
  char *tags; /* JSON text */
  gboolean created;
  gboolean changed; /* RETIRE: its row is to be deleted */
  json_t *before;   /* nullable */
} Target;

typedef struct {
  ChDeviceAdmin *admin;
  ChAsk *ask;
  Kind kind;
  gboolean dry_run;
  GArray *targets;
  char by[CH_NAME_SIZE];
} Job;

struct _ChDeviceAdmin {
  ChCore *core;
  GQueue jobs; /* of Job, the first one runs */
};

/* ---- jobs ---- */

static void target_clear (gpointer data)
{
  Target *target = data;
  g_free (target->protocol);
  g_free (target->iccid);
  g_free (target->imei);
  g_free (target->model);
  g_free (target->tags);
  json_decref (target->patch);
  json_decref (target->before);
}

static void job_free (Job *job)
{
  g_array_unref (job->targets);
  g_free (job);
}

static void add_target (Job *job, const ChDeviceWish *wish)
{
  Target target = {.port_count = wish->port_count,
                   .lifecycle = wish->lifecycle,
                   .enrolment = wish->enrolment};
  g_strlcpy (target.id, wish->id, sizeof target.id);
  target.protocol = g_strdup (wish->protocol);
  target.iccid = g_strdup (wish->iccid);
  target.imei = g_strdup (wish->imei);
  target.model = g_strdup (wish->model);
  target.patch = wish->tags != NULL ? json_deep_copy (wish->tags) : NULL;
  g_array_append_val (job->targets, target);
}

static Job *job_new (ChPlugin *self, Kind kind, const ChOrigin *origin, ChCoreDone done,
                     gpointer user_data)
{
  Job *job = g_new0 (Job, 1);
  job->admin = ch_core_of (self)->device_admin;
  job->ask = ch_ask_new (self, done, user_data);
  job->kind = kind;
  job->targets = g_array_new (FALSE, TRUE, sizeof (Target));
  g_array_set_clear_func (job->targets, target_clear);
  g_strlcpy (job->by, origin != NULL && origin->by != NULL ? origin->by : "admin",
             sizeof job->by);
  return job;
}

static void run_next (ChDeviceAdmin *admin);

/* The running job is over: it is freed, the next begins. */
static void finish (Job *job)
{
  ChDeviceAdmin *admin = job->admin;
  g_queue_pop_head (&admin->jobs);
  job_free (job);
  run_next (admin);
}

static void submit (Job *job)
{
  ChDeviceAdmin *admin = job->admin;
  if (admin->jobs.length >= WAITING_MAX) {
    ch_ask_refuse (job->ask, CH_CORE_ERROR_OVERLOADED,
                   "too many changes of devices wait");
    job_free (job);
    return;
  }
  g_queue_push_tail (&admin->jobs, job);
  if (admin->jobs.length == 1)
    run_next (admin);
}

/* ---- what a device will be ---- */

static json_t *tags_of (const ChDevice *device)
{
  json_t *tags = device != NULL && device->tags != NULL
                     ? ch_json_parse (device->tags, strlen (device->tags), NULL)
                     : NULL;
  return tags != NULL ? tags : json_object ();
}

static json_t *state_of (const ChDevice *device)
{
  json_t *state = json_object ();
  json_object_set_new (state, "lifecycle",
                       json_string (ch_lifecycle_name (device->lifecycle)));
  json_object_set_new (state, "enrolment",
                       json_string (ch_enrolment_name (device->enrolment)));
  json_object_set_new (state, "tags", tags_of (device));
  return state;
}

static void merge (json_t *tags, json_t *patch)
{
  const char *name;
  json_t *value;
  json_object_foreach (patch, name, value)
  {
    if (json_is_null (value))
      json_object_del (tags, name);
    else
      json_object_set (tags, name, value);
  }
}

static gboolean says_other (const char *said, const char *known)
{
  return said != NULL && g_strcmp0 (said, known) != 0;
}

static void settle (Job *job, Target *target)
{
  const ChDevice *device = ch_device_find (job->admin->core, target->id);
  g_autoptr (json_t) tags = tags_of (device);
  g_autoptr (json_t) old = json_deep_copy (tags);

  merge (tags, target->patch);
  target->tags = json_dumps (tags, JSON_COMPACT | JSON_SORT_KEYS);
  target->created = device == NULL;
  if (device != NULL)
    target->before = state_of (device);
  if (target->lifecycle < 0)
    target->lifecycle = device != NULL ? device->lifecycle : CH_LIFECYCLE_ACTIVE;
  /* Whom an operator names is known to him; who is blocked stays so until he says. */
  if (target->enrolment < 0)
    target->enrolment = device == NULL ? CH_ENROLMENT_REGISTERED
                        : job->kind == CHANGE || device->enrolment == CH_ENROLMENT_BLOCKED
                            ? device->enrolment
                            : CH_ENROLMENT_REGISTERED;
  target->changed
      = device == NULL || target->lifecycle != device->lifecycle
        || target->enrolment != device->enrolment || !json_equal (tags, old)
        || says_other (target->iccid, device->iccid)
        || says_other (target->imei, device->imei)
        || says_other (target->model, device->model)
        || (target->port_count >= 0 && target->port_count != device->port_count)
        || (*device->protocol == '\0' && says_other (target->protocol, ""));
}

static void store (Job *job, const Target *target, ChTx *tx)
{
  ChPlugin *self = job->admin->core->self;
  ch_tx_add (tx, self, "devices.admin");
  ch_tx_bind_text (tx, "phy_id", target->id);
  ch_tx_bind_text (tx, "protocol", target->protocol != NULL ? target->protocol : "");
  ch_tx_bind_text (tx, "iccid", target->iccid);
  ch_tx_bind_text (tx, "imei", target->imei);
  ch_tx_bind_text (tx, "model", target->model);
  ch_tx_bind_int (tx, "port_count",
                  target->port_count >= 0 ? target->port_count : CH_UNSET);
  ch_tx_bind_text (tx, "lifecycle", ch_lifecycle_name (target->lifecycle));
  ch_tx_bind_text (tx, "enrolment", ch_enrolment_name (target->enrolment));
  ch_tx_bind_json (tx, "tags", target->tags);
  ch_tx_bind_time (tx, "now", ch_wall_ms (self));
  ch_tx_guard (tx, 1, 1);
}

/* ---- after the commit ---- */

static void tell (ChDevice *device, const char *field, const char *before,
                  const char *after, const char *by)
{
  ChCore *core = device->core;
  if (g_strcmp0 (before, after) == 0 || !ch_topic_is_heard (core->topics.device_changed))
    return;
  ChDeviceChangedEvent event
      = {.event = {.time_ms = ch_wall_ms (core->self), .socket_no = -1, .port_no = -1}};
  g_strlcpy (event.event.device, device->id, sizeof event.event.device);
  g_strlcpy (event.field, field, sizeof event.field);
  g_strlcpy (event.old_value, before != NULL ? before : "", sizeof event.old_value);
  g_strlcpy (event.new_value, after != NULL ? after : "", sizeof event.new_value);
  g_strlcpy (event.by, by, sizeof event.by);
  ch_publish (core->topics.device_changed, &event.event);
}

static void take (char **field, const char *said)
{
  if (said == NULL)
    return;
  g_free (*field);
  *field = g_strdup (said);
}

static void kicked (ChPlugin *self, const json_t *data, const GError *error,
                    gpointer user_data)
{
}

/* Where it is connected elsewhere it is read again when it comes back there. */
static void enforce_block (ChDevice *device)
{
  ChCore *core = device->core;
  if (ch_home_is_elsewhere (device))
    ch_core_kick_device (core->self, device->id, NULL, kicked, NULL);
  else
    ch_session_cut (core->sessions, device);
}

static void apply (Job *job, const Target *target, gint64 db_id)
{
  ChCore *core = job->admin->core;
  ChDevice *device = ch_device_find (core, target->id);
  if (device == NULL)
    device = ch_device_add (core, target->id);
  const char *lifecycle = ch_lifecycle_name (device->lifecycle);
  const char *enrolment = target->created ? "" : ch_enrolment_name (device->enrolment);
  g_autofree char *tags = g_steal_pointer (&device->tags);

  device->db_id = db_id;
  device->lifecycle = (guint8) target->lifecycle;
  device->enrolment = (guint8) target->enrolment;
  device->tags = g_str_equal (target->tags, "{}") ? NULL : g_strdup (target->tags);
  if (*device->protocol == '\0' && target->protocol != NULL)
    device->protocol = g_intern_string (target->protocol);
  take (&device->iccid, target->iccid);
  take (&device->imei, target->imei);
  take (&device->model, target->model);
  if (target->port_count >= 0)
    device->port_count = (gint16) target->port_count;
  tell (device, "lifecycle", lifecycle, ch_lifecycle_name (device->lifecycle), job->by);
  tell (device, "enrolment", enrolment, ch_enrolment_name (device->enrolment), job->by);
  tell (device, "tags", tags, device->tags, job->by);
  if (device->enrolment == CH_ENROLMENT_BLOCKED)
    enforce_block (device);
}

/*
 * The row is gone. What holds a pointer to the record may be under way, so it is only
 * taken out of the table. A device that came back meanwhile is a new one.
 */
static void forget (ChDevice *device)
{
  ChCore *core = device->core;
  if (device->conn != 0 || device->fact_running || device->facts.length > 0
      || device->orders != NULL || core->starts_waiting->len > 0) {
    device->db_id = 0;
    device->identity_dirty = TRUE;
    ch_device_seen_dirty (device);
    return;
  }
  ch_outbound_forget (core->outbound, device);
  ch_session_forget (core->sessions, device);
  g_ptr_array_remove_fast (core->dirty_devices, device);
  g_hash_table_steal (core->devices, device->id);
  g_ptr_array_add (core->gone_devices, device);
}

/* ---- answers ---- */

static json_t *counts (const Job *job)
{
  json_int_t fresh = 0, changed = 0;
  for (guint i = 0; i < job->targets->len; i++) {
    const Target *target = &g_array_index (job->targets, Target, i);
    fresh += target->created;
    changed += !target->created && target->changed;
  }
  json_int_t total = job->targets->len;
  return json_pack ("{s:I,s:I,s:I,s:I}", "total", total, "new", fresh, "changed", changed,
                    "unchanged", total - fresh - changed);
}

static json_t *outcome (const Job *job)
{
  const Target *first = &g_array_index (job->targets, Target, 0);
  if (job->kind == IMPORT)
    return counts (job);
  json_t *data = json_object ();
  json_object_set_new (data, "created", json_boolean (first->created));
  json_object_set (data, "before", first->before != NULL ? first->before : json_null ());
  json_object_set_new (data, "device",
                       ch_core_device_json (job->admin->core->self, first->id));
  return data;
}

static void stored (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  Job *job = user_data;
  if (error != NULL) {
    ch_ask_store_failed (job->ask, error);
    finish (job);
    return;
  }
  guint statement = 0;
  for (guint i = 0; i < job->targets->len; i++) {
    const Target *target = &g_array_index (job->targets, Target, i);
    if (target->changed)
      apply (job, target, ch_tx_result_int (result, statement++, 0, "id"));
  }
  g_autoptr (json_t) data = outcome (job);
  ch_ask_answer (job->ask, data, NULL);
  finish (job);
}

static void retired (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer user_data)
{
  Job *job = user_data;
  const Target *target = &g_array_index (job->targets, Target, 0);
  ChDevice *device = ch_device_find (job->admin->core, target->id);

  if (g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD))
    ch_ask_refuse (job->ask, CH_CORE_ERROR_PORT_OCCUPIED,
                   "the device has active orders: end them first");
  else if (error != NULL)
    ch_ask_store_failed (job->ask, error);
  else {
    gboolean deleted = target->changed && ch_tx_result_changes (result, DELETED) > 0;
    g_autoptr (json_t) data = json_object ();
    json_object_set_new (data, "device_id", json_string (target->id));
    json_object_set_new (data, "deleted", json_boolean (deleted));
    json_object_set_new (data, "lifecycle",
                         deleted ? json_null () : json_string ("decommissioned"));
    json_object_set (data, "before", target->before);
    tell (device, "lifecycle", ch_lifecycle_name (device->lifecycle), "decommissioned",
          job->by);
    device->lifecycle = deleted ? CH_LIFECYCLE_ACTIVE : CH_LIFECYCLE_DECOMMISSIONED;
    device->enrolment = deleted ? CH_ENROLMENT_AUTO : device->enrolment;
    if (deleted)
      forget (device);
    ch_ask_answer (job->ask, data, NULL);
  }
  finish (job);
}

/* ---- running ---- */

static gboolean run_retire (Job *job)
{
  ChCore *core = job->admin->core;
  Target *target = &g_array_index (job->targets, Target, 0);
  ChDevice *device = ch_device_find (core, target->id);

  if (device->orders != NULL && device->orders->len > 0) {
    const ChOrder *order = g_ptr_array_index (device->orders, 0);
    g_autoptr (json_t) data = json_pack ("{s:s}", "current_order", order->d.order_no);
    g_autoptr (GError) error
        = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_PORT_OCCUPIED,
                               "the device has active orders: end them first");
    ch_ask_answer (job->ask, data, error);
    return FALSE;
  }
  target->before = state_of (device);
  /* One that is connected, here or elsewhere, would come again. */
  target->changed = device->conn == 0 && !ch_home_is_elsewhere (device);
  ChTx *tx = ch_tx_new (core->self);
  ch_device_store (device, tx); /* it may have none yet */
  ch_tx_add (tx, core->self, "devices.decommission");
  ch_tx_bind_text (tx, "phy_id", target->id);
  ch_tx_bind_time (tx, "now", ch_wall_ms (core->self));
  ch_tx_guard (tx, 1, 1);
  if (target->changed) {
    ch_tx_add (tx, core->self, "devices.delete"); /* statement DELETED */
    ch_tx_bind_text (tx, "phy_id", target->id);
    ch_tx_add (tx, core->self, "sockets.delete_all");
    ch_tx_bind_text (tx, "phy_id", target->id);
  }
  ch_tx_submit (tx, 0, retired, job);
  return TRUE;
}

/* FALSE when it was answered at once. */
static gboolean run (Job *job)
{
  ChCore *core = job->admin->core;
  const Target *first = &g_array_index (job->targets, Target, 0);
  ChTx *tx;

  if ((job->kind == CHANGE || job->kind == RETIRE)
      && ch_device_find (core, first->id) == NULL) {
    ch_ask_refuse (job->ask, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no such device");
    return FALSE;
  }
  if (job->kind == RETIRE)
    return run_retire (job);
  tx = ch_tx_new (core->self);
  for (guint i = 0; i < job->targets->len; i++) {
    Target *target = &g_array_index (job->targets, Target, i);
    settle (job, target);
    if (target->changed && !job->dry_run)
      store (job, target, tx);
  }
  if (!ch_tx_is_empty (tx)) {
    ch_tx_submit (tx, 0, stored, job);
    return TRUE;
  }
  g_autoptr (json_t) data = outcome (job);
  ch_tx_free (tx);
  ch_ask_answer (job->ask, data, NULL);
  return FALSE;
}

static void run_next (ChDeviceAdmin *admin)
{
  Job *job;
  while ((job = g_queue_peek_head (&admin->jobs)) != NULL && !run (job)) {
    g_queue_pop_head (&admin->jobs);
    job_free (job);
  }
}

/* ---- the calls ---- */

void ch_core_register_device (ChPlugin *self, const ChDeviceWish *wish,
                              const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  Job *job = job_new (self, REGISTER, origin, done, user_data);
  add_target (job, wish);
  submit (job);
}

void ch_core_change_device (ChPlugin *self, const ChDeviceWish *wish,
                            const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  Job *job = job_new (self, CHANGE, origin, done, user_data);
  add_target (job, wish);
  submit (job);
}

void ch_core_retire_device (ChPlugin *self, const char *device, const ChOrigin *origin,
                            ChCoreDone done, gpointer user_data)
{
  Job *job = job_new (self, RETIRE, origin, done, user_data);
  ChDeviceWish wish = CH_DEVICE_WISH_INIT;
  g_strlcpy (wish.id, device, sizeof wish.id);
  add_target (job, &wish);
  submit (job);
}

void ch_core_import_devices (ChPlugin *self, const ChDeviceWish *wishes, guint n_wishes,
                             gboolean dry_run, const ChOrigin *origin, ChCoreDone done,
                             gpointer user_data)
{
  Job *job = job_new (self, IMPORT, origin, done, user_data);
  job->dry_run = dry_run;
  for (guint i = 0; i < n_wishes; i++)
    add_target (job, &wishes[i]);
  submit (job);
}

ChDeviceAdmin *ch_device_admin_new (ChCore *core)
{
  ChDeviceAdmin *admin = g_new0 (ChDeviceAdmin, 1);
  admin->core = core;
  g_queue_init (&admin->jobs);
  return admin;
}

void ch_device_admin_free (ChDeviceAdmin *admin)
{
  Job *job;
  while ((job = g_queue_pop_head (&admin->jobs)) != NULL) {
    g_free (job->ask);
    job_free (job);
  }
  g_free (admin);
}
