/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helpers/redis-cluster.h"
#include "helpers/resp-client.h"

#include <poll.h>
#include <string.h>

#define N_PRIMARIES 3
#define PATIENCE_MS 20000

/* The text of an answer, or what kind of error it is. (transfer full) */
static char *run (const RedisServer *server, const char *line)
{
  g_autoptr (RespClient) client = resp_client_new (redis_server_socket (server));
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  g_autoptr (ChKvReply) reply
      = resp_client_run (client, (const char *const *) words, g_strv_length (words));

  if (reply != NULL && reply->kind == CH_KV_REPLY_ERROR)
    g_print ("# %s: %s\n", line, reply->text);
  return g_strdup (reply != NULL && reply->text != NULL ? reply->text : "");
}

static gboolean wait_for (const RedisServer *server, const char *line, const char *word)
{
  for (guint ms = 0; ms < PATIENCE_MS; ms += 20) {
    g_autofree char *text = run (server, line);
    if (strstr (text, word) != NULL)
      return TRUE;
    poll (NULL, 0, 20);
  }
  return FALSE;
}

static void add_slots (const RedisServer *server, guint first, guint last)
{
  g_autofree char *line = g_strdup_printf ("CLUSTER ADDSLOTSRANGE %u %u", first, last);
  g_autofree char *text = run (server, line);
}

static gboolean join (RedisCluster *cluster)
{
  static const guint FIRST[N_PRIMARIES + 1] = {0, 5461, 10923, 16384};

  for (guint i = 0; i < N_PRIMARIES; i++)
    add_slots (cluster->servers[i], FIRST[i], FIRST[i + 1] - 1);
  for (guint i = 1; i < REDIS_CLUSTER_NODES; i++) {
    g_autofree char *line = g_strdup_printf ("CLUSTER MEET 127.0.0.1 %u",
                                             redis_server_port (cluster->servers[i]));
    g_autofree char *text = run (cluster->servers[0], line);
  }
  for (guint i = 0; i < REDIS_CLUSTER_NODES; i++)
    if (!wait_for (cluster->servers[i], "CLUSTER INFO", "cluster_known_nodes:6"))
      return FALSE;
  for (guint i = 0; i < N_PRIMARIES; i++) {
    g_autofree char *id = run (cluster->servers[i], "CLUSTER MYID");
    g_autofree char *line = g_strdup_printf ("CLUSTER REPLICATE %s", id);
    if (!wait_for (cluster->servers[i + N_PRIMARIES], line, "OK"))
      return FALSE;
  }
  for (guint i = 0; i < REDIS_CLUSTER_NODES; i++)
    if (!wait_for (cluster->servers[i], "CLUSTER INFO", "cluster_state:ok"))
      return FALSE;
  for (guint i = N_PRIMARIES; i < REDIS_CLUSTER_NODES; i++)
    if (!wait_for (cluster->servers[i], "INFO replication", "master_link_status:up"))
      return FALSE;
  return TRUE;
}

RedisCluster *redis_cluster_start (const char **reason)
{
  static const char *const words[] = {"--cluster-enabled",
                                      "yes",
                                      "--cluster-node-timeout",
                                      "1000",
                                      "--cluster-replica-validity-factor",
                                      "0",
                                      "--repl-diskless-sync-delay",
                                      "0",
                                      "--appendonly",
                                      "no",
                                      NULL};
  g_autoptr (RedisCluster) cluster = g_new0 (RedisCluster, 1);

  for (guint i = 0; i < REDIS_CLUSTER_NODES; i++) {
    cluster->servers[i] = redis_server_start_with (redis_free_port (), words, reason);
    if (cluster->servers[i] == NULL)
      return NULL;
  }
  *reason = "the cluster does not come together";
  return join (cluster) ? g_steal_pointer (&cluster) : NULL;
}

void redis_cluster_stop (RedisCluster *cluster)
{
  if (cluster == NULL)
    return;
  for (guint i = 0; i < REDIS_CLUSTER_NODES; i++)
    redis_server_stop (cluster->servers[i]);
  g_free (cluster);
}

char *redis_cluster_addresses (const RedisCluster *cluster)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < REDIS_CLUSTER_NODES; i++)
    g_string_append_printf (text, "%s127.0.0.1:%u", i > 0 ? "," : "",
                            redis_server_port (cluster->servers[i]));
  return g_string_free (text, FALSE);
}
