/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands in memory: their lists per device, counters, numbers. */
#include "core/outbound/outbound-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/slab.h>

#include <string.h>

#define FINALS_MAX 4096
#define FINALS_AGE_MS (10 * 60 * 1000)
#define FINALS_AGE_INTERNAL_MS (5 * 1000)

double ch_out_score (guint priority, gint64 created_at)
{
  return (double) priority * 1e13 + (double) created_at;
}

ChOutCommand *ch_out_command_new (ChOutbound *outbound, const char *id)
{
  ChOutCommand *cmd = ch_slab_new0 (outbound->self, ChOutCommand);
  cmd->refs = 1;
  cmd->outbound = outbound;
  cmd->timer.func = ch_out_timer_fired;
  cmd->phase = CH_OUT_PREPARED;
  cmd->first_sent_ms = CH_UNSET;
  cmd->device_code = CH_UNSET;
  g_strlcpy (cmd->id, id, sizeof cmd->id);
  return cmd;
}

ChOutCommand *ch_out_command_ref (ChOutCommand *cmd)
{
  cmd->refs++;
  return cmd;
}

void ch_out_command_unref (ChOutCommand *cmd)
{
  if (cmd == NULL || --cmd->refs > 0)
    return;
  g_free (cmd->dedup_key);
  g_free (cmd->detail);
  g_free (cmd->by);
  g_free (cmd->key_id);
  g_free (cmd->request_id);
  g_free (cmd->origin_server);
  json_decref (cmd->payload);
  g_slist_free_full (cmd->waiters, g_free);
  ch_slab_free (cmd->outbound->self, cmd, sizeof *cmd);
}

ChOutDevice *ch_out_device (ChDevice *device)
{
  return device->outbound;
}

ChOutDevice *ch_out_device_ensure (ChOutbound *outbound, ChDevice *device)
{
  ChOutDevice *od = device->outbound;
  if (od != NULL)
    return od;
  od = ch_slab_new0 (outbound->self, ChOutDevice);
  od->device = device;
  od->outbound = outbound;
  od->waiting = g_ptr_array_new ();
  od->others = g_ptr_array_new ();
  device->outbound = od;
  g_hash_table_add (outbound->devices, od);
  return od;
}

/* Gives the place back once nothing is left; an idle device costs its record only. */
static void release_idle (ChOutDevice *od)
{
  ChOutbound *outbound = od->outbound;

  if (od->waiting->len > 0 || od->others->len > 0 || od->taking || od->peeking
      || od->kicked || od->foreign)
    return;
  od->device->outbound = NULL;
  ch_wheel_cancel (outbound->core->services->reactor, &od->ready);
  g_ptr_array_unref (od->waiting);
  g_ptr_array_unref (od->others);
  g_hash_table_remove (outbound->devices, od);
  ch_slab_free (outbound->self, od, sizeof *od);
}

void ch_out_device_settle (ChOutDevice *od)
{
  release_idle (od);
}

static gint compare (const ChOutCommand *a, const ChOutCommand *b)
{
  double sa = ch_out_score (a->priority, a->created_at);
  double sb = ch_out_score (b->priority, b->created_at);
  return sa < sb ? -1 : sa > sb ? 1 : strcmp (a->id, b->id);
}

static void insert_sorted (GPtrArray *waiting, ChOutCommand *cmd)
{
  guint i = waiting->len;
  while (i > 0 && compare (cmd, g_ptr_array_index (waiting, i - 1)) < 0)
    i--;
  g_ptr_array_insert (waiting, (gint) i, cmd);
}

static gboolean counts_as_waiting (ChOutPhase phase)
{
  return phase == CH_OUT_PREPARED || phase == CH_OUT_WAITING || phase == CH_OUT_DELAYED;
}

static gboolean counts_as_flight (ChOutPhase phase)
{
  return phase == CH_OUT_TAKING || phase == CH_OUT_FLIGHT;
}

/* Counters of the queue and of the device; @sign is 1 or −1. */
static void count (ChOutCommand *cmd, ChOutPhase phase, gint sign)
{
  ChOutbound *outbound = cmd->outbound;
  ChDevice *device = cmd->device;
  guint step = (guint) sign; /* wraps: −1 subtracts */

  if (counts_as_waiting (phase)) {
    outbound->n_waiting += step;
    outbound->waiting_by_priority[MIN (cmd->priority, 5)] += step;
    device->waiting += step;
  } else if (counts_as_flight (phase)) {
    outbound->n_flight += step;
    device->in_flight += step;
    if (cmd->urgent_slot)
      device->in_flight_urgent += step;
  }
}

void ch_out_count_new (ChOutCommand *cmd)
{
  count (cmd, cmd->phase, 1);
}

static void leave_list (ChOutDevice *od, ChOutCommand *cmd)
{
  if (cmd->phase == CH_OUT_WAITING)
    g_ptr_array_remove (od->waiting, cmd);
  else if (cmd->phase != CH_OUT_PREPARED && cmd->phase != CH_OUT_FINAL)
    g_ptr_array_remove_fast (od->others, cmd);
}

void ch_out_set_phase (ChOutCommand *cmd, ChOutPhase phase)
{
  ChOutbound *outbound = cmd->outbound;
  ChOutPhase old = cmd->phase;

  if (old == phase)
    return;
  ChOutDevice *od = ch_out_device_ensure (outbound, cmd->device);
  leave_list (od, cmd);
  count (cmd, old, -1);
  if (!counts_as_flight (phase))
    cmd->urgent_slot = FALSE;
  cmd->phase = phase;
  cmd->updated_at = ch_wall_ms (outbound->self);
  count (cmd, phase, 1);
  if (phase == CH_OUT_WAITING) {
    cmd->queued_ms = ch_now_ms (outbound->self);
    insert_sorted (od->waiting, cmd);
  } else if (phase != CH_OUT_PREPARED && phase != CH_OUT_FINAL) {
    g_ptr_array_add (od->others, cmd);
  }
  if (phase == CH_OUT_FINAL)
    release_idle (od);
}

ChOutCommand *ch_out_find (ChOutbound *outbound, const char *id)
{
  return id != NULL ? g_hash_table_lookup (outbound->commands, id) : NULL;
}

static ChOutCommand *find_final_msg (ChOutbound *outbound, const char *device,
                                     guint32 msg_id)
{
  for (GList *l = outbound->finals.tail; l != NULL; l = l->prev) {
    ChOutCommand *cmd = l->data;
    if (cmd->msg_id == msg_id && cmd->sends > 0 && g_str_equal (cmd->device_id, device))
      return cmd;
  }
  return NULL;
}

ChOutCommand *ch_out_find_msg (ChOutbound *outbound, const char *device, guint32 msg_id,
                               gboolean final)
{
  ChDevice *record = g_hash_table_lookup (outbound->core->devices, device);

  if (record != NULL && record->outbound != NULL) {
    ChOutDevice *od = record->outbound;
    for (guint i = 0; i < od->others->len; i++) {
      ChOutCommand *cmd = g_ptr_array_index (od->others, i);
      if (cmd->msg_id == msg_id && cmd->sends > 0)
        return cmd;
    }
    for (guint i = 0; i < od->waiting->len; i++) {
      ChOutCommand *cmd = g_ptr_array_index (od->waiting, i);
      if (cmd->msg_id == msg_id && cmd->sends > 0)
        return cmd;
    }
  }
  return final ? find_final_msg (outbound, device, msg_id) : NULL;
}

static gboolean number_in_use (const GPtrArray *commands, guint32 msg_id)
{
  for (guint i = 0; i < commands->len; i++) {
    const ChOutCommand *cmd = g_ptr_array_index (commands, i);
    if (cmd->msg_id == msg_id)
      return TRUE;
  }
  return FALSE;
}

guint32 ch_out_next_msg_id (ChOutDevice *od)
{
  ChDevice *device = od->device;
  guint bits = device->props != NULL ? device->props->msg_id_bits : 16;

  if (bits == 0)
    return 0;
  guint32 mask = bits >= 32 ? G_MAXUINT32 : ((guint32) 1 << bits) - 1;
  guint32 id;
  do {
    id = device->next_msg_id++ & mask;
  } while (id == 0 || number_in_use (od->others, id) || number_in_use (od->waiting, id));
  return id;
}

gboolean ch_out_expired (const ChOutCommand *cmd)
{
  return ch_now_ms (cmd->outbound->self) >= cmd->deadline_ms;
}

void ch_out_view (const ChOutCommand *cmd, ChCommandView *view)
{
  memset (view, 0, sizeof *view);
  g_strlcpy (view->command_id, cmd->id, sizeof view->command_id);
  g_strlcpy (view->order_no, cmd->order_no, sizeof view->order_no);
  view->type = cmd->type;
  view->device = cmd->device;
  view->socket_no = cmd->socket_no;
  view->port_no = cmd->port_no;
  view->state = cmd->state;
  view->device_code = cmd->device_code;
  view->attempts = cmd->sends + cmd->hidden_sends;
  view->sent_ms = cmd->first_sent_ms;
  view->expires_at = cmd->expires_at;
  view->late = cmd->late;
  view->detail = cmd->detail;
}

/* Queries of the core and of protocols: a fleet makes thousands, nobody asks for them. */
gboolean ch_out_is_internal (const ChOutCommand *cmd)
{
  static const char *const people[] = {"api", "admin", "dbus", "card", "rule", NULL};
  return cmd->type == CH_COMMAND_QUERY_PORT_STATUS && cmd->request_id == NULL
         && (cmd->by == NULL || !g_strv_contains (people, cmd->by));
}

void ch_out_trim_finals (ChOutbound *outbound)
{
  gint64 now = ch_wall_ms (outbound->self);

  while (!g_queue_is_empty (&outbound->finals)) {
    ChOutCommand *cmd = g_queue_peek_head (&outbound->finals);
    gint64 age_ms = ch_out_is_internal (cmd) ? FINALS_AGE_INTERNAL_MS : FINALS_AGE_MS;
    gboolean untold = cmd->kv_dirty && cmd->pushed; /* it would send it once more */
    if (outbound->finals.length <= FINALS_MAX
        && (cmd->finished_at > now - age_ms || untold))
      return;
    g_queue_pop_head (&outbound->finals);
    g_hash_table_remove (outbound->commands, cmd->id);
  }
}
