/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A long mixed life: devices come and go, answer or not, the kv fails, people take
 * commands back. In the end every command has had exactly one result and nothing is left.
 */
#include "core/outbound/outbound-private.h"
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

#include <string.h>
#include <unistd.h>

#define DEVICES 6
#define STEPS 1500

typedef struct {
  char id[8];
  int fd;       /* −1: not connected */
  guint number; /* of the command it heard last, 0 none */
} Device;

typedef struct {
  Queue *queue;
  Device devices[DEVICES];
  gboolean restarts; /* the process dies now and then; all commands have rows */
  GHashTable *open;  /* ids of accepted commands without a result */
  GHashTable *done;  /* ids that had theirs */
} World;

static void on_finished (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                         gpointer user_data)
{
  World *world = user_data;
  const ChCommandFinishedEvent *e = (const ChCommandFinishedEvent *) event;
  if (e->late)
    return;
  g_assert_true (g_hash_table_add (world->done, g_strdup (e->command_id))); /* once */
  g_hash_table_remove (world->open, e->command_id); /* others are the core's own */
}

static void come (World *world, Device *device)
{
  if (device->fd >= 0)
    close (device->fd);
  device->number = 0;
  device->fd = queue_device_on (world->queue, device->id);
}

static void leave (World *world, Device *device)
{
  if (device->fd >= 0)
    close (device->fd);
  device->fd = -1;
  queue_settle (world->queue);
}

static void listen_to (World *world, Device *device)
{
  if (device->fd < 0)
    return;
  g_autofree char *heard = queue_heard (world->queue, device->fd);
  if (*heard != '\0')
    device->number = queue_number (heard);
}

static void queue_command (World *world, Device *device)
{
  static const ChCommandType types[]
      = {CH_COMMAND_START_CHARGE, CH_COMMAND_STOP_CHARGE, CH_COMMAND_QUERY_PORT_STATUS,
         CH_COMMAND_SET_PARAMS,   CH_COMMAND_READ_PARAMS, CH_COMMAND_SYNC_TIME};
  ChOutbound *outbound = world->queue->services.core->outbound;
  char id[CH_COMMAND_ID_SIZE], order[16];
  gboolean merged;
  g_autoptr (GError) error = NULL;

  g_snprintf (order, sizeof order, "ORD%d", g_test_rand_int_range (0, 4));
  ChOutboundRequest r = {.type = types[g_test_rand_int_range (0, G_N_ELEMENTS (types))],
                         .device = queue_device (world->queue, device->id),
                         .port_no = g_test_rand_int_range (0, 3),
                         .expires_ms = 20000,
                         .durable = world->restarts || g_test_rand_bit ()};
  if (r.type == CH_COMMAND_START_CHARGE || r.type == CH_COMMAND_STOP_CHARGE)
    r.order_no = order;
  if (!ch_outbound_send (outbound, &r, id, &merged, &error) || merged)
    return;
  g_assert_true (g_hash_table_add (world->open, g_strdup (id)));
}

static void take_back (World *world)
{
  GHashTableIter iter;
  gpointer id;

  g_hash_table_iter_init (&iter, world->open);
  if (!g_hash_table_iter_next (&iter, &id, NULL))
    return;
  g_autofree char *copy = g_strdup (id);
  ch_outbound_cancel (world->queue->services.core->outbound, copy);
}

static void restart (World *world)
{
  for (guint i = 0; i < DEVICES; i++)
    leave (world, &world->devices[i]);
  queue_restart (world->queue);
  ch_subscribe (world->queue->caller, "command.finished", NULL, on_finished, world);
}

static void step (World *world)
{
  Device *device = &world->devices[g_test_rand_int_range (0, DEVICES)];

  switch (g_test_rand_int_range (0, 17)) {
  case 0:
    come (world, device);
    break;
  case 1:
    leave (world, device);
    break;
  case 2:
  case 3:
  case 4:
  case 5:
    queue_command (world, device);
    break;
  case 6:
  case 7:
  case 8:
    listen_to (world, device);
    if (device->fd >= 0 && device->number != 0)
      queue_say (world->queue, device->fd, "@%s %s %u 0",
                 g_test_rand_bit () ? "ack" : "no", device->id, device->number);
    break;
  case 9:
    listen_to (world, device);
    if (device->fd >= 0)
      queue_say (world->queue, device->fd, "@port %s %d %d 7%d", device->id,
                 g_test_rand_int_range (0, 3), g_test_rand_int_range (0, 4),
                 g_test_rand_int_range (0, 3));
    break;
  case 10:
    take_back (world);
    break;
  case 11:
    ch_kv_set_up (world->queue->kv_driver, g_test_rand_int_range (0, 3) > 0);
    break;
  case 12:
    world->queue->next_state
        = g_test_rand_int_range (0, 4) == 0 ? CH_COMMAND_NOT_SENT : CH_COMMAND_SENT;
    break;
  case 13:
    g_free (queue_kv (world->queue,
                      g_test_rand_int_range (0, 10) == 0 ? "FLUSHALL" : "PING"));
    break;
  case 14:
    if (world->restarts && g_test_rand_int_range (0, 10) == 0)
      restart (world);
    break;
  default:
    queue_advance (world->queue, g_test_rand_int_range (1, 3000));
  }
}

static void nothing_left (World *world)
{
  Queue *queue = world->queue;
  const ChOutbound *outbound = queue->services.core->outbound;

  g_assert_cmpuint (g_hash_table_size (world->open), ==, 0);
  g_assert_cmpuint (outbound->n_waiting, ==, 0);
  g_assert_cmpuint (outbound->n_flight, ==, 0);
  g_assert_cmpuint (g_hash_table_size (outbound->devices), ==, 0);
  g_assert_cmpuint (g_hash_table_size (outbound->dedup), ==, 0);
  for (guint i = 0; i < DEVICES; i++) {
    const ChDevice *device = queue_device (queue, world->devices[i].id);
    g_assert_cmpuint (device->waiting, ==, 0);
    g_assert_cmpuint (device->in_flight, ==, 0);
    g_assert_cmpuint (device->in_flight_urgent, ==, 0);
    g_assert_null (device->outbound);
  }
  ASSERT_KV ("ZCARD outbound:queue", "0");
  ASSERT_KV ("ZCARD outbound:delayed", "0");
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "0");
  ASSERT_KV ("KEYS outbound:processing:*", "");
  ASSERT_KV ("KEYS outbound:dev:*", "");
  ASSERT_KV ("KEYS outbound:dedup:*", "");
  ASSERT_SQL ("SELECT COUNT(*) FROM outbound_queue WHERE status IN (0, 1)", "0");
}

static void live (gboolean restarts)
{
  const char *const options[]
      = {"tcp.flapping.enabled=false", "proto-lines.takeover_limit=10000", NULL};
  World world = {.queue = queue_new (options)};

  world.done = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  world.open = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  ch_subscribe (world.queue->caller, "command.finished", NULL, on_finished, &world);
  for (guint i = 0; i < DEVICES; i++) {
    g_snprintf (world.devices[i].id, sizeof world.devices[i].id, "D%u", i);
    world.devices[i].fd = -1;
    come (&world, &world.devices[i]);
  }
  for (guint i = 0; i < STEPS; i++)
    step (&world);
  ch_kv_set_up (world.queue->kv_driver, TRUE);
  world.queue->next_state = CH_COMMAND_SENT;
  queue_advance (world.queue, 60000); /* everything expires, the kv is told */
  nothing_left (&world);
  for (guint i = 0; i < DEVICES; i++)
    leave (&world, &world.devices[i]);
  g_hash_table_unref (world.open);
  g_hash_table_unref (world.done);
  queue_free (world.queue);
}

static void mixed_life (void)
{
  live (FALSE);
}

static void with_restarts (void)
{
  live (TRUE);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/outbound/mixed-life", mixed_life);
  g_test_add_func ("/outbound/with-restarts", with_restarts);
  return g_test_run ();
}
