/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/device/device-admin-private.h"
#include "core/order/order-home.h"
#include "core/session/session.h"

#include <string.h>

#define WAITING_MAX 256

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

/* ---- jobs ---- */

static void target_clear (gpointer data)
{
  ChDeviceTarget *target = data;
  g_free (target->protocol);
  g_free (target->iccid);
  g_free (target->imei);
  g_free (target->model);
  g_free (target->tags);
  json_decref (target->patch);
  json_decref (target->before);
}

static void job_free (ChDeviceJob *job)
{
  g_array_unref (job->targets);
  g_free (job);
}

static void add_target (ChDeviceJob *job, const ChDeviceWish *wish)
{
  ChDeviceTarget target = {.port_count = wish->port_count,
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

static ChDeviceJob *job_new (ChPlugin *self, ChDeviceJobKind kind, const ChOrigin *origin,
                             ChCoreDone done, gpointer user_data)
{
  ChDeviceJob *job = g_new0 (ChDeviceJob, 1);
  job->admin = ch_core_of (self)->device_admin;
  job->ask = ch_ask_new (self, done, user_data);
  job->kind = kind;
  job->targets = g_array_new (FALSE, TRUE, sizeof (ChDeviceTarget));
  g_array_set_clear_func (job->targets, target_clear);
  g_strlcpy (job->by, origin != NULL && origin->by != NULL ? origin->by : "admin",
             sizeof job->by);
  return job;
}

static void run_next (ChDeviceAdmin *admin);

/* The running job is over: it is freed, the next begins. */
void ch_device_job_finish (ChDeviceJob *job)
{
  ChDeviceAdmin *admin = job->admin;
  g_queue_pop_head (&admin->jobs);
  job_free (job);
  run_next (admin);
}

static void submit (ChDeviceJob *job)
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

json_t *ch_device_state_json (const ChDevice *device)
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

static void settle (ChDeviceJob *job, ChDeviceTarget *target)
{
  const ChDevice *device = ch_device_find (job->admin->core, target->id);
  g_autoptr (json_t) tags = tags_of (device);
  g_autoptr (json_t) old = json_deep_copy (tags);

  merge (tags, target->patch);
  target->tags = json_dumps (tags, JSON_COMPACT | JSON_SORT_KEYS);
  target->created = device == NULL;
  if (device != NULL)
    target->before = ch_device_state_json (device);
  if (target->lifecycle < 0)
    target->lifecycle = device != NULL ? device->lifecycle : CH_LIFECYCLE_ACTIVE;
  /* Whom an operator names is known to him; who is blocked stays so until he says. */
  if (target->enrolment < 0)
    target->enrolment
        = device == NULL ? CH_ENROLMENT_REGISTERED
          : job->kind == CH_DEVICE_CHANGE || device->enrolment == CH_ENROLMENT_BLOCKED
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

static void store (ChDeviceJob *job, const ChDeviceTarget *target, ChTx *tx)
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

void ch_device_tell (ChDevice *device, const char *field, const char *before,
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

static void take (ChCore *core, ChDeviceSetText set, char **field, const char *said)
{
  if (said != NULL)
    set (core, field, said);
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

static void apply (ChDeviceJob *job, const ChDeviceTarget *target, gint64 db_id)
{
  ChCore *core = job->admin->core;
  ChDevice *device = ch_device_find (core, target->id);
  if (device == NULL)
    device = ch_device_add (core, target->id);
  const char *lifecycle = ch_lifecycle_name (device->lifecycle);
  const char *enrolment = target->created ? "" : ch_enrolment_name (device->enrolment);
  g_autofree char *tags = g_strdup (device->tags);

  device->db_id = db_id;
  device->lifecycle = (guint8) target->lifecycle;
  device->enrolment = (guint8) target->enrolment;
  ch_device_set_text (core, &device->tags,
                      g_str_equal (target->tags, "{}") ? NULL : target->tags);
  if (*device->protocol == '\0' && target->protocol != NULL)
    device->protocol = g_intern_string (target->protocol);
  take (core, ch_device_set_text, &device->iccid, target->iccid);
  take (core, ch_device_set_text, &device->imei, target->imei);
  take (core, ch_device_share_text, &device->model, target->model);
  if (target->port_count >= 0)
    device->port_count = (gint16) target->port_count;
  ch_device_tell (device, "lifecycle", lifecycle, ch_lifecycle_name (device->lifecycle),
                  job->by);
  ch_device_tell (device, "enrolment", enrolment, ch_enrolment_name (device->enrolment),
                  job->by);
  ch_device_tell (device, "tags", tags, device->tags, job->by);
  if (device->enrolment == CH_ENROLMENT_BLOCKED)
    enforce_block (device);
}

/* ---- answers ---- */

static json_t *counts (const ChDeviceJob *job)
{
  json_int_t fresh = 0, changed = 0;
  for (guint i = 0; i < job->targets->len; i++) {
    const ChDeviceTarget *target = &g_array_index (job->targets, ChDeviceTarget, i);
    fresh += target->created;
    changed += !target->created && target->changed;
  }
  json_int_t total = job->targets->len;
  return json_pack ("{s:I,s:I,s:I,s:I}", "total", total, "new", fresh, "changed", changed,
                    "unchanged", total - fresh - changed);
}

static json_t *outcome (const ChDeviceJob *job)
{
  const ChDeviceTarget *first = &g_array_index (job->targets, ChDeviceTarget, 0);
  if (job->kind == CH_DEVICE_IMPORT)
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
  ChDeviceJob *job = user_data;
  if (error != NULL) {
    ch_ask_store_failed (job->ask, error);
    ch_device_job_finish (job);
    return;
  }
  guint statement = 0;
  for (guint i = 0; i < job->targets->len; i++) {
    const ChDeviceTarget *target = &g_array_index (job->targets, ChDeviceTarget, i);
    if (target->changed)
      apply (job, target, ch_tx_result_int (result, statement++, 0, "id"));
  }
  g_autoptr (json_t) data = outcome (job);
  ch_ask_answer (job->ask, data, NULL);
  ch_device_job_finish (job);
}

/* ---- running ---- */

/* FALSE when it was answered at once. */
static gboolean run (ChDeviceJob *job)
{
  ChCore *core = job->admin->core;
  const ChDeviceTarget *first = &g_array_index (job->targets, ChDeviceTarget, 0);
  ChTx *tx;

  if ((job->kind == CH_DEVICE_CHANGE || job->kind == CH_DEVICE_RETIRE)
      && ch_device_find (core, first->id) == NULL) {
    ch_ask_refuse (job->ask, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no such device");
    return FALSE;
  }
  if (job->kind == CH_DEVICE_RETIRE)
    return ch_device_retire_run (job);
  tx = ch_tx_new (core->self);
  for (guint i = 0; i < job->targets->len; i++) {
    ChDeviceTarget *target = &g_array_index (job->targets, ChDeviceTarget, i);
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
  ChDeviceJob *job;
  while ((job = g_queue_peek_head (&admin->jobs)) != NULL && !run (job)) {
    g_queue_pop_head (&admin->jobs);
    job_free (job);
  }
}

/* ---- the calls ---- */

void ch_core_register_device (ChPlugin *self, const ChDeviceWish *wish,
                              const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  ChDeviceJob *job = job_new (self, CH_DEVICE_REGISTER, origin, done, user_data);
  add_target (job, wish);
  submit (job);
}

void ch_core_change_device (ChPlugin *self, const ChDeviceWish *wish,
                            const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  ChDeviceJob *job = job_new (self, CH_DEVICE_CHANGE, origin, done, user_data);
  add_target (job, wish);
  submit (job);
}

void ch_core_retire_device (ChPlugin *self, const char *device, const ChOrigin *origin,
                            ChCoreDone done, gpointer user_data)
{
  ChDeviceJob *job = job_new (self, CH_DEVICE_RETIRE, origin, done, user_data);
  ChDeviceWish wish = CH_DEVICE_WISH_INIT;
  g_strlcpy (wish.id, device, sizeof wish.id);
  add_target (job, &wish);
  submit (job);
}

void ch_core_import_devices (ChPlugin *self, const ChDeviceWish *wishes, guint n_wishes,
                             gboolean dry_run, const ChOrigin *origin, ChCoreDone done,
                             gpointer user_data)
{
  ChDeviceJob *job = job_new (self, CH_DEVICE_IMPORT, origin, done, user_data);
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
  ChDeviceJob *job;
  while ((job = g_queue_pop_head (&admin->jobs)) != NULL) {
    g_free (job->ask);
    job_free (job);
  }
  g_free (admin);
}
