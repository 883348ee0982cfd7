/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "geo.h"

#include <math.h>

#define BITS 26
#define EARTH_RADIUS 6372797.560856
#define LAT_MAX 85.05112878 /* of the projection that the cells follow */
#define LON_MAX 180.0
#define RADIANS(degrees) ((degrees) * (G_PI / 180))
#define DEGREES(radians) ((radians) * (180 / G_PI))

gboolean mem_geo_is_place (MemPlace place)
{
  return place.lon >= -LON_MAX && place.lon <= LON_MAX && place.lat >= -LAT_MAX
         && place.lat <= LAT_MAX;
}

/* Bit i goes to bit 2 i. */
static guint64 spread (guint64 x)
{
  x = (x | (x << 16)) & G_GUINT64_CONSTANT (0x0000FFFF0000FFFF);
  x = (x | (x << 8)) & G_GUINT64_CONSTANT (0x00FF00FF00FF00FF);
  x = (x | (x << 4)) & G_GUINT64_CONSTANT (0x0F0F0F0F0F0F0F0F);
  x = (x | (x << 2)) & G_GUINT64_CONSTANT (0x3333333333333333);
  return (x | (x << 1)) & G_GUINT64_CONSTANT (0x5555555555555555);
}

static guint32 gather (guint64 x)
{
  x &= G_GUINT64_CONSTANT (0x5555555555555555);
  x = (x | (x >> 1)) & G_GUINT64_CONSTANT (0x3333333333333333);
  x = (x | (x >> 2)) & G_GUINT64_CONSTANT (0x0F0F0F0F0F0F0F0F);
  x = (x | (x >> 4)) & G_GUINT64_CONSTANT (0x00FF00FF00FF00FF);
  x = (x | (x >> 8)) & G_GUINT64_CONSTANT (0x0000FFFF0000FFFF);
  return (guint32) (x | (x >> 16));
}

static guint64 encode_in (MemPlace place, double lat_max)
{
  double lat = (place.lat + lat_max) / (2 * lat_max) * (double) (1u << BITS);
  double lon = (place.lon + LON_MAX) / (2 * LON_MAX) * (double) (1u << BITS);

  return spread ((guint32) lat) | (spread ((guint32) lon) << 1);
}

double mem_geo_encode (MemPlace place)
{
  return (double) encode_in (place, LAT_MAX);
}

/* The middle of the smallest cell. */
static double middle (guint32 cell, double max)
{
  double size = 1.0 / (double) (1u << BITS);
  double low = -max + cell * size * (2 * max);
  double high = -max + (cell + 1) * size * (2 * max);
  return CLAMP ((low + high) / 2, -max, max);
}

MemPlace mem_geo_decode (double score)
{
  guint64 bits = score >= 0 && score < (double) (G_GUINT64_CONSTANT (1) << (2 * BITS))
                     ? (guint64) score
                     : 0;
  return (MemPlace) {.lon = middle (gather (bits >> 1), LON_MAX),
                     .lat = middle (gather (bits), LAT_MAX)};
}

double mem_geo_distance (MemPlace a, MemPlace b)
{
  double lat_a = RADIANS (a.lat), lat_b = RADIANS (b.lat);
  double v = sin ((RADIANS (b.lon) - RADIANS (a.lon)) / 2);
  double u = sin ((lat_b - lat_a) / 2);

  if (v == 0)
    return EARTH_RADIUS * fabs (lat_b - lat_a);
  return 2 * EARTH_RADIUS * asin (sqrt (u * u + cos (lat_a) * cos (lat_b) * v * v));
}

void mem_geo_hash (MemPlace place, char text[12])
{
  static const char digits[] = "0123456789bcdefghjkmnpqrstuvwxyz";
  guint64 bits = encode_in (place, 90);

  for (guint i = 0; i < 11; i++) {
    gint shift = 2 * BITS - 5 * ((gint) i + 1);
    text[i] = shift >= 0 ? digits[(bits >> shift) & 31] : '0'; /* 52 bits make 10.4 */
  }
  text[11] = '\0';
}

gboolean mem_geo_inside (const MemShape *shape, MemPlace place, double *distance)
{
  MemPlace same_lat = {shape->centre.lon, place.lat};

  *distance = mem_geo_distance (shape->centre, place);
  if (!shape->is_box)
    return *distance <= shape->radius;
  return EARTH_RADIUS * fabs (RADIANS (place.lat) - RADIANS (shape->centre.lat))
             <= shape->height / 2
         && mem_geo_distance (place, same_lat) <= shape->width / 2;
}

/* ---- cells --------------------------------------------------------------------------
 */

/* A part of the map; its west may be east of its east, then it crosses ±180°. */
typedef struct {
  double south, north, west, east;
  gboolean all_round;
} Area;

typedef struct {
  const MemZset *zset;
  Area area;
  double cell_lat, cell_lon; /* cells of about this size are not divided further */
  MemGeoVisit visit;
  gpointer user_data;
} Walk;

/* How many degrees of longitude @metres can be at latitude @lat; 180: no limit. */
static double lon_reach (double metres, double lat)
{
  double s = sin (MIN (metres / EARTH_RADIUS, G_PI / 2));
  double c = cos (RADIANS (MIN (fabs (lat), 90)));

  return c <= s ? 180 : DEGREES (asin (s / c));
}

static Area area_of (const MemShape *shape)
{
  double up
      = DEGREES ((shape->is_box ? shape->height / 2 : shape->radius) / EARTH_RADIUS);
  double lat = shape->centre.lat;
  double farthest = shape->is_box ? MIN (fabs (lat) + up, 90) : lat;
  double side = lon_reach (shape->is_box ? shape->width / 2 : shape->radius, farthest);
  Area area = {.south = lat - up, .north = lat + up};

  /* What is rounded must not fall out. */
  side = side * 1.001 + 1e-6;
  area.south -= 1e-6;
  area.north += 1e-6;
  area.all_round = side >= 180 || area.south <= -90 || area.north >= 90;
  area.west = shape->centre.lon - side;
  area.east = shape->centre.lon + side;
  if (area.west < -180)
    area.west += 360;
  if (area.east > 180)
    area.east -= 360;
  return area;
}

static gboolean touches (const Area *area, double south, double north, double west,
                         double east)
{
  if (north < area->south || south > area->north)
    return FALSE;
  if (area->all_round)
    return TRUE;
  if (area->west <= area->east)
    return east >= area->west && west <= area->east;
  return east >= area->west || west <= area->east;
}

static gboolean visit_range (const Walk *walk, guint64 prefix, guint depth)
{
  guint shift = 2 * (BITS - depth);
  MemRange range = {.min = (double) (prefix << shift),
                    .max = (double) ((prefix + 1) << shift),
                    .max_open = TRUE};
  gsize first, last;

  if (!mem_zset_range (walk->zset, &range, &first, &last))
    return TRUE;
  MemScored *at = mem_zset_at (walk->zset, first);
  for (gsize n = last - first + 1; n > 0; n--, at = mem_zset_next (at))
    if (!walk->visit (walk->user_data, at))
      return FALSE;
  return TRUE;
}

static gboolean walk_cell (const Walk *walk, guint64 prefix, guint depth)
{
  double parts = (double) (1u << depth);
  double lat_size = 2 * LAT_MAX / parts, lon_size = 2 * LON_MAX / parts;
  double south = -LAT_MAX + gather (prefix) * lat_size;
  double west = -LON_MAX + gather (prefix >> 1) * lon_size;

  if (!touches (&walk->area, south, south + lat_size, west, west + lon_size))
    return TRUE;
  if (depth == BITS || (lat_size <= walk->cell_lat && lon_size <= walk->cell_lon))
    return visit_range (walk, prefix, depth);
  for (guint64 quarter = 0; quarter < 4; quarter++)
    if (!walk_cell (walk, prefix << 2 | quarter, depth + 1))
      return FALSE;
  return TRUE;
}

void mem_geo_near (const MemZset *zset, const MemShape *shape, MemGeoVisit visit,
                   gpointer user_data)
{
  Walk walk
      = {.zset = zset, .area = area_of (shape), .visit = visit, .user_data = user_data};
  double width = walk.area.east - walk.area.west;

  if (walk.area.all_round)
    width = 360;
  else if (width < 0)
    width += 360;
  walk.cell_lat = (walk.area.north - walk.area.south) / 2;
  walk.cell_lon = width / 2;
  walk_cell (&walk, 0, 0);
}
