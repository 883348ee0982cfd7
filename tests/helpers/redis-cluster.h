/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A Redis Cluster on loopback for tests: three primaries with a replica each. */
#pragma once

#include "helpers/redis.h"

#define REDIS_CLUSTER_NODES 6

typedef struct {
  RedisServer *servers[REDIS_CLUSTER_NODES]; /* the first three begin as primaries */
} RedisCluster;

/* NULL with a reason. */
RedisCluster *redis_cluster_start (const char **reason);
void redis_cluster_stop (RedisCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RedisCluster, redis_cluster_stop)
/* `127.0.0.1:7001,…` (transfer full) */
char *redis_cluster_addresses (const RedisCluster *cluster);
