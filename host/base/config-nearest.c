/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which known name may have been meant. */
#include "base/config-tables.h"

#include <string.h>

#define MAX_NAME 256

static gboolean is_same (char a, char b)
{
  if (a == '-')
    a = '_';
  if (b == '-')
    b = '_';
  return g_ascii_tolower (a) == g_ascii_tolower (b);
}

/* Optimal string alignment: insert, delete, replace, or swap two neighbours. */
static guint distance (const char *a, gsize n, const char *b, gsize m, guint limit)
{
  guint rows[3][MAX_NAME + 1];

  if (n > MAX_NAME || m > MAX_NAME || (n > m ? n - m : m - n) > limit)
    return limit + 1;
  for (gsize j = 0; j <= m; j++)
    rows[0][j] = (guint) j;
  for (gsize i = 1; i <= n; i++) {
    guint *row = rows[i % 3], *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
    guint smallest = row[0] = (guint) i;
    for (gsize j = 1; j <= m; j++) {
      gboolean same = is_same (a[i - 1], b[j - 1]);
      guint value = MIN (MIN (row[j - 1], above[j]) + 1, above[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && is_same (a[i - 1], b[j - 2]) && is_same (a[i - 2], b[j - 1]))
        value = MIN (value, two_above[j - 2] + 1);
      row[j] = value;
      smallest = MIN (smallest, value);
    }
    if (smallest > limit)
      return limit + 1;
  }
  return rows[n % 3][m];
}

/* The same last part in another section is a good guess, too. */
static gboolean same_leaf (const char *a, const char *b)
{
  const char *x = strrchr (a, '.'), *y = strrchr (b, '.');
  x = x != NULL ? x + 1 : a;
  y = y != NULL ? y + 1 : b;
  return g_ascii_strcasecmp (x, y) == 0;
}

void ch_config_nearest_offer (ChConfigNearest *nearest, const char *name)
{
  gsize n = strlen (nearest->wanted), m = strlen (name);
  guint limit = (guint) MIN (n / 2, MAX (2, MIN (n, 30) / 4));

  if (nearest->best != NULL)
    limit = MIN (limit, nearest->distance);
  guint found = distance (nearest->wanted, n, name, m, limit);
  if (found <= limit && (nearest->best == NULL || found < nearest->distance)) {
    nearest->best = name;
    nearest->distance = found;
  } else if (nearest->best == NULL && same_leaf (nearest->wanted, name)) {
    nearest->best = name;
    nearest->distance = G_MAXUINT;
  }
}

char *ch_config_nearest_hint (const ChConfigNearest *nearest)
{
  if (nearest->best == NULL)
    return g_strdup ("");
  return g_strdup_printf ("; did you mean '%s'?", nearest->best);
}
