/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GEOADD and what is known of a place. */
#include "blocking.h"
#include "geo.h"
#include "number.h"

#include <math.h>

gboolean mem_geo_read_place (MemCall *call, gsize at, MemPlace *place)
{
  if (!mem_arg_double (call, at, &place->lon, NULL)
      || !mem_arg_double (call, at + 1, &place->lat, NULL))
    return FALSE;
  if (mem_geo_is_place (*place))
    return TRUE;
  mem_out_error (call->out, "ERR invalid longitude,latitude pair %f,%f", place->lon,
                 place->lat);
  return FALSE;
}

gboolean mem_geo_read_unit (MemCall *call, gsize at, double *metres)
{
  static const struct {
    const char *name;
    double metres;
  } units[] = {{"M", 1}, {"KM", 1000}, {"FT", 0.3048}, {"MI", 1609.34}};

  for (guint i = 0; i < G_N_ELEMENTS (units); i++) {
    if (!mem_arg_is (call->argv[at], units[i].name))
      continue;
    *metres = units[i].metres;
    return TRUE;
  }
  mem_out_error (call->out, "ERR unsupported unit provided. please use M, KM, FT, MI");
  return FALSE;
}

void mem_geo_reply_place (MemOut *out, MemPlace place)
{
  char text[MEM_LONG_DOUBLE_SIZE];
  gsize size = mem_format_long_double (text, place.lon);

  mem_out_array (out, 2);
  mem_out_bytes (out, text, size);
  size = mem_format_long_double (text, place.lat);
  mem_out_bytes (out, text, size);
}

void mem_geo_reply_distance (MemOut *out, double distance)
{
  char text[64];
  g_ascii_formatd (text, sizeof text, "%.4f", distance);
  mem_out_text (out, text);
}

/* ---- the commands -------------------------------------------------------------------
 */

typedef struct {
  gboolean nx, xx, ch;
  gsize first;
} AddOptions;

static gboolean read_add_options (MemCall *call, AddOptions *options)
{
  *options = (AddOptions) {.first = 2};
  for (; options->first < call->argc; options->first++) {
    if (mem_arg_is (call->argv[options->first], "NX"))
      options->nx = TRUE;
    else if (mem_arg_is (call->argv[options->first], "XX"))
      options->xx = TRUE;
    else if (mem_arg_is (call->argv[options->first], "CH"))
      options->ch = TRUE;
    else
      break;
  }
  if ((call->argc - options->first) % 3 == 0 && !(options->nx && options->xx))
    return TRUE;
  mem_syntax_error (call);
  return FALSE;
}

static void geoadd (Mem *mem, MemCall *call)
{
  AddOptions options;
  MemPlace place;
  MemEntry *entry;
  gint64 added = 0, changed = 0;

  if (!read_add_options (call, &options))
    return;
  for (gsize i = options.first; i < call->argc; i += 3)
    if (!mem_geo_read_place (call, i, &place))
      return;
  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  gboolean is_new = entry == NULL && !options.xx && call->argc > options.first;
  if (is_new)
    entry = mem_create (mem, call->argv[1], MEM_ZSET);
  for (gsize i = options.first; entry != NULL && i < call->argc; i += 3) {
    MemScored *old = mem_zset_find (entry->zset, call->argv[i + 2]);
    if (old != NULL ? options.nx : options.xx)
      continue;
    mem_geo_read_place (call, i, &place);
    double score = mem_geo_encode (place);
    changed += old != NULL && old->score != score;
    added += mem_zset_set (entry->zset, call->argv[i + 2], score);
  }
  if (added + changed > 0)
    mem_changed (mem);
  mem_out_integer (call->out, added + (options.ch ? changed : 0));
  if (is_new)
    mem_blocking_signal (mem, call->argv[1]);
}

static void geopos (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  mem_out_array (call->out, call->argc - 2);
  for (gsize i = 2; i < call->argc; i++) {
    MemScored *scored = entry != NULL ? mem_zset_find (entry->zset, call->argv[i]) : NULL;
    if (scored != NULL)
      mem_geo_reply_place (call->out, mem_geo_decode (scored->score));
    else
      mem_out_nil (call->out);
  }
}

static void geohash (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  char text[12];

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  mem_out_array (call->out, call->argc - 2);
  for (gsize i = 2; i < call->argc; i++) {
    MemScored *scored = entry != NULL ? mem_zset_find (entry->zset, call->argv[i]) : NULL;
    if (scored == NULL) {
      mem_out_nil (call->out);
      continue;
    }
    mem_geo_hash (mem_geo_decode (scored->score), text);
    mem_out_text (call->out, text);
  }
}

static void geodist (Mem *mem, MemCall *call)
{
  double unit = 1;
  MemEntry *entry;

  if (call->argc > 5) {
    mem_syntax_error (call);
    return;
  }
  if ((call->argc == 5 && !mem_geo_read_unit (call, 4, &unit))
      || !mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  MemScored *a = entry != NULL ? mem_zset_find (entry->zset, call->argv[2]) : NULL;
  MemScored *b = entry != NULL ? mem_zset_find (entry->zset, call->argv[3]) : NULL;
  if (a == NULL || b == NULL) {
    mem_out_nil (call->out);
    return;
  }
  double distance
      = mem_geo_distance (mem_geo_decode (a->score), mem_geo_decode (b->score));
  mem_geo_reply_distance (call->out, distance / unit);
}

const MemCommand mem_geo_commands[] = {{"geoadd", -5, MEM_WRITE | MEM_GROWS, geoadd},
                                       {"geopos", -2, MEM_READ, geopos},
                                       {"geohash", -2, MEM_READ, geohash},
                                       {"geodist", -4, MEM_READ, geodist},
                                       {NULL}};
