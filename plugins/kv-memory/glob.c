/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "glob.h"

/* One element of the pattern at *@at against @c; moves *@at behind it. */
static gboolean match_class (MemBytes pattern, gsize *at, char c)
{
  gsize i = *at + 1;
  gboolean negated = i < pattern.n && pattern.p[i] == '^';
  gboolean matches = FALSE;

  if (negated)
    i++;
  for (; i < pattern.n && pattern.p[i] != ']'; i++) {
    if (pattern.p[i] == '\\' && i + 1 < pattern.n) {
      i++;
      matches |= pattern.p[i] == c;
    } else if (i + 2 < pattern.n && pattern.p[i + 1] == '-') {
      guchar low = (guchar) MIN ((guchar) pattern.p[i], (guchar) pattern.p[i + 2]);
      guchar high = (guchar) MAX ((guchar) pattern.p[i], (guchar) pattern.p[i + 2]);
      matches |= (guchar) c >= low && (guchar) c <= high;
      i += 2;
    } else {
      matches |= pattern.p[i] == c;
    }
  }
  *at = MIN (i + 1, pattern.n);
  return matches != negated;
}

static gboolean match_one (MemBytes pattern, gsize *at, char c)
{
  switch (pattern.p[*at]) {
  case '?':
    (*at)++;
    return TRUE;
  case '[':
    return match_class (pattern, at, c);
  case '\\':
    if (*at + 1 < pattern.n)
      (*at)++;
    return pattern.p[(*at)++] == c;
  default:
    return pattern.p[(*at)++] == c;
  }
}

/*
 * Only the last star needs to be tried again: whatever an earlier one could take, the
 * later one can take, too. So the time is bounded by the product of the lengths.
 */
gboolean mem_glob_match (MemBytes pattern, MemBytes text)
{
  gsize at = 0, i = 0;
  gsize star_at = 0, star_i = 0;
  gboolean star = FALSE;

  while (i < text.n) {
    if (at < pattern.n && pattern.p[at] == '*') {
      star = TRUE;
      star_at = ++at;
      star_i = i;
      continue;
    }
    gsize next = at;
    if (at < pattern.n && match_one (pattern, &next, text.p[i])) {
      at = next;
      i++;
    } else if (star) {
      at = star_at;
      i = ++star_i;
    } else {
      return FALSE;
    }
  }
  while (at < pattern.n && pattern.p[at] == '*')
    at++;
  return at == pattern.n;
}
