/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GEOSEARCH and GEOSEARCHSTORE. */
#include "geo.h"

#include <stdlib.h>

typedef struct {
  MemShape shape;
  double unit; /* metres */
  gboolean has_centre, has_shape;
  gsize member_at; /* FROMMEMBER; 0: none */
  gint order;      /* 1 nearest first, −1 farthest first */
  gint64 count;    /* 0: all */
  gboolean any;
  gboolean with_coord, with_dist, with_hash, store_dist;
} Search;

typedef struct {
  MemScored *scored;
  double distance; /* in the unit */
} Hit;

typedef struct {
  const Search *search;
  GArray *hits;
} Collect;

static gboolean read_length (MemCall *call, gsize at, double *length, const char *error)
{
  return mem_arg_double (call, at, length, error);
}

static gboolean read_radius (MemCall *call, gsize at, Search *search)
{
  if (!read_length (call, at, &search->shape.radius, "ERR need numeric radius"))
    return FALSE;
  if (search->shape.radius < 0) {
    mem_out_error (call->out, "ERR radius cannot be negative");
    return FALSE;
  }
  if (!mem_geo_read_unit (call, at + 1, &search->unit))
    return FALSE;
  search->shape.radius *= search->unit;
  search->has_shape = TRUE;
  return TRUE;
}

static gboolean read_box (MemCall *call, gsize at, Search *search)
{
  MemShape *shape = &search->shape;

  if (!read_length (call, at, &shape->width, "ERR need numeric width")
      || !read_length (call, at + 1, &shape->height, "ERR need numeric height"))
    return FALSE;
  if (shape->width < 0 || shape->height < 0) {
    mem_out_error (call->out, "ERR height or width cannot be negative");
    return FALSE;
  }
  if (!mem_geo_read_unit (call, at + 2, &search->unit))
    return FALSE;
  shape->width *= search->unit;
  shape->height *= search->unit;
  shape->is_box = search->has_shape = TRUE;
  return TRUE;
}

/* Options without a value. */
static gboolean read_flag (MemBytes arg, gboolean store, Search *search)
{
  if (mem_arg_is (arg, "WITHDIST"))
    search->with_dist = TRUE;
  else if (mem_arg_is (arg, "WITHHASH"))
    search->with_hash = TRUE;
  else if (mem_arg_is (arg, "WITHCOORD"))
    search->with_coord = TRUE;
  else if (mem_arg_is (arg, "ANY"))
    search->any = TRUE;
  else if (mem_arg_is (arg, "ASC"))
    search->order = 1;
  else if (mem_arg_is (arg, "DESC"))
    search->order = -1;
  else if (store && mem_arg_is (arg, "STOREDIST"))
    search->store_dist = TRUE;
  else
    return FALSE;
  return TRUE;
}

/* How many arguments an option with values takes, 0 with an error. */
static gsize read_option (MemCall *call, gsize i, Search *search)
{
  MemBytes arg = call->argv[i];
  gsize left = call->argc - i - 1;

  if (mem_arg_is (arg, "COUNT") && left >= 1) {
    if (!mem_arg_int (call, i + 1, &search->count))
      return 0;
    if (search->count > 0)
      return 2;
    mem_out_error (call->out, "ERR COUNT must be > 0");
    return 0;
  }
  if (mem_arg_is (arg, "FROMLONLAT") && left >= 2 && !search->has_centre) {
    search->has_centre = mem_geo_read_place (call, i + 1, &search->shape.centre);
    return search->has_centre ? 3 : 0;
  }
  if (mem_arg_is (arg, "FROMMEMBER") && left >= 1 && !search->has_centre) {
    search->has_centre = TRUE;
    search->member_at = i + 1;
    return 2;
  }
  if (mem_arg_is (arg, "BYRADIUS") && left >= 2 && !search->has_shape)
    return read_radius (call, i + 1, search) ? 3 : 0;
  if (mem_arg_is (arg, "BYBOX") && left >= 3 && !search->has_shape)
    return read_box (call, i + 1, search) ? 4 : 0;
  mem_syntax_error (call);
  return 0;
}

static gboolean find_centre (MemCall *call, const MemEntry *entry, Search *search)
{
  if (search->member_at == 0 || entry == NULL)
    return TRUE;
  MemScored *scored = mem_zset_find (entry->zset, call->argv[search->member_at]);
  if (scored == NULL) {
    mem_out_error (call->out, "ERR could not decode requested zset member");
    return FALSE;
  }
  search->shape.centre = mem_geo_decode (scored->score);
  return TRUE;
}

static gboolean read_search (MemCall *call, gsize at, gboolean store,
                             const MemEntry *entry, Search *search)
{
  for (gsize i = at; i < call->argc;) {
    if (read_flag (call->argv[i], store, search)) {
      i++;
      continue;
    }
    gsize taken = read_option (call, i, search);
    if (taken == 0)
      return FALSE;
    if (search->member_at == i + 1 && !find_centre (call, entry, search))
      return FALSE;
    i += taken;
  }
  g_autofree char *name
      = g_strndup (call->argv[0].p, call->argv[0].n); /* as it was written */
  if (store && (search->with_coord || search->with_dist || search->with_hash))
    mem_out_error (call->out,
                   "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH "
                   "and WITHCOORD options");
  else if (!search->has_centre)
    mem_out_error (call->out,
                   "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified "
                   "for %s",
                   name);
  else if (!search->has_shape)
    mem_out_error (call->out,
                   "ERR exactly one of BYRADIUS and BYBOX can be specified for %s", name);
  else if (search->any && search->count == 0)
    mem_out_error (call->out, "ERR the ANY argument requires COUNT argument");
  else
    return TRUE;
  return FALSE;
}

static gboolean collect (gpointer user_data, MemScored *scored)
{
  Collect *collecting = user_data;
  const Search *search = collecting->search;
  double metres;

  if (!mem_geo_inside (&search->shape, mem_geo_decode (scored->score), &metres))
    return TRUE;
  Hit hit = {scored, metres / search->unit};
  g_array_append_val (collecting->hits, hit);
  return !search->any || collecting->hits->len < (guint64) search->count;
}

static gint nearest_first (gconstpointer a, gconstpointer b)
{
  double x = ((const Hit *) a)->distance, y = ((const Hit *) b)->distance;
  return x < y ? -1 : x > y;
}

static gint farthest_first (gconstpointer a, gconstpointer b)
{
  return nearest_first (b, a);
}

static GArray *find (const Search *search, const MemEntry *entry)
{
  Collect collecting = {search, g_array_new (FALSE, FALSE, sizeof (Hit))};
  gint order = search->order;

  if (entry != NULL)
    mem_geo_near (entry->zset, &search->shape, collect, &collecting);
  if (order == 0 && search->count > 0 && !search->any)
    order = 1; /* a limit means the nearest */
  if (order != 0)
    g_array_sort (collecting.hits, order > 0 ? nearest_first : farthest_first);
  if (search->count > 0 && collecting.hits->len > (guint64) search->count)
    g_array_set_size (collecting.hits, (guint) search->count);
  return collecting.hits;
}

static void reply_hit (MemOut *out, const Search *search, const Hit *hit)
{
  guint extras = (search->with_dist ? 1u : 0u) + (search->with_hash ? 1u : 0u)
                 + (search->with_coord ? 1u : 0u);
  MemBytes member = mem_node_key (&hit->scored->node);

  if (extras > 0)
    mem_out_array (out, extras + 1);
  mem_out_bytes (out, member.p, member.n);
  if (search->with_dist)
    mem_geo_reply_distance (out, hit->distance);
  if (search->with_hash)
    mem_out_integer (out, (gint64) hit->scored->score);
  if (search->with_coord)
    mem_geo_reply_place (out, mem_geo_decode (hit->scored->score));
}

static void geosearch (Mem *mem, MemCall *call)
{
  Search search = {.unit = 1};
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry)
      || !read_search (call, 2, FALSE, entry, &search))
    return;
  g_autoptr (GArray) hits = find (&search, entry);
  mem_out_array (call->out, hits->len);
  for (guint i = 0; i < hits->len; i++)
    reply_hit (call->out, &search, &g_array_index (hits, Hit, i));
}

static void geosearchstore (Mem *mem, MemCall *call)
{
  Search search = {.unit = 1};
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[2], MEM_ZSET, &entry)
      || !read_search (call, 3, TRUE, entry, &search))
    return;
  g_autoptr (GArray) hits = find (&search, entry);
  MemZset *result = hits->len > 0 ? mem_zset_new (mem) : NULL;
  for (guint i = 0; i < hits->len; i++) {
    const Hit *hit = &g_array_index (hits, Hit, i);
    mem_zset_set (result, mem_node_key (&hit->scored->node),
                  search.store_dist ? hit->distance : hit->scored->score);
  }
  mem_zset_store (mem, call->argv[1], result);
  mem_out_integer (call->out, hits->len);
}

const MemCommand mem_geo_search_commands[]
    = {{"geosearch", -7, MEM_READ, geosearch},
       {"geosearchstore", -8, MEM_WRITE | MEM_GROWS, geosearchstore},
       {NULL}};
