/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places as scores: 26 bits of latitude and of longitude, interleaved. A prefix of the
 * bits is a cell; what lies in a cell is one range of scores.
 */
#pragma once

#include "zset.h"

typedef struct {
  double lon, lat; /* degrees */
} MemPlace;

gboolean mem_geo_is_place (MemPlace place);
double mem_geo_encode (MemPlace place);
MemPlace mem_geo_decode (double score);
double mem_geo_distance (MemPlace a, MemPlace b); /* metres */
/* Eleven characters of the usual geohash. */
void mem_geo_hash (MemPlace place, char text[12]);

/* A circle, or a box whose sides follow latitude and longitude. */
typedef struct {
  MemPlace centre;
  gboolean is_box;
  double radius, width, height; /* metres */
} MemShape;
/* Whether it is inside, and how far from the centre. */
gboolean mem_geo_inside (const MemShape *shape, MemPlace place, double *distance);

typedef gboolean (*MemGeoVisit) (gpointer user_data,
                                 MemScored *scored); /* FALSE: enough */
/* Visits what lies in the cells that the shape touches. */
void mem_geo_near (const MemZset *zset, const MemShape *shape, MemGeoVisit visit,
                   gpointer user_data);

/* geo-commands.c; FALSE: an error was replied */
gboolean mem_geo_read_place (MemCall *call, gsize at, MemPlace *place);
gboolean mem_geo_read_unit (MemCall *call, gsize at, double *metres);
void mem_geo_reply_place (MemOut *out, MemPlace place);
void mem_geo_reply_distance (MemOut *out, double distance);
