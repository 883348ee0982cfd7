/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arguments of commands and the usual complaints about them. */
#include "memory.h"
#include "number.h"

#include <math.h>
#include <string.h>

static char to_upper (char c)
{
  return c >= 'a' && c <= 'z' ? (char) (c & ~0x20) : c;
}

gboolean mem_arg_is (MemBytes arg, const char *upper)
{
  for (gsize i = 0; i < arg.n; i++)
    if (upper[i] == '\0' || to_upper (arg.p[i]) != upper[i])
      return FALSE;
  return upper[arg.n] == '\0';
}

gboolean mem_arg_int_error (MemCall *call, gsize index, gint64 *value, const char *error)
{
  if (mem_parse_int (call->argv[index], value))
    return TRUE;
  mem_out_error (call->out, "%s", error);
  return FALSE;
}

gboolean mem_arg_int (MemCall *call, gsize index, gint64 *value)
{
  return mem_arg_int_error (call, index, value,
                            "ERR value is not an integer or out of range");
}

gboolean mem_arg_count (MemCall *call, gsize index, gint64 *count)
{
  static const char error[] = "ERR value is out of range, must be positive";

  if (!mem_arg_int_error (call, index, count, error))
    return FALSE;
  if (*count < 0)
    mem_out_error (call->out, "%s", error);
  return *count >= 0;
}

gboolean mem_add_float (MemCall *call, long double value, long double delta,
                        char text[MEM_LONG_DOUBLE_SIZE], gsize *size)
{
  value += delta;
  if (isnan (value) || isinf (value)) {
    mem_out_error (call->out, "ERR increment would produce NaN or Infinity");
    return FALSE;
  }
  *size = mem_format_long_double (text, value);
  return TRUE;
}

gboolean mem_arg_draws (MemCall *call, gsize index, gint64 *count)
{
  if (!mem_arg_int (call, index, count))
    return FALSE;
  if (*count > G_MININT64)
    return TRUE;
  mem_out_error (call->out, "ERR value is out of range, value must between "
                            "-9223372036854775807 and 9223372036854775807");
  return FALSE;
}

gboolean mem_arg_double (MemCall *call, gsize index, double *value, const char *error)
{
  if (mem_parse_double (call->argv[index], value))
    return TRUE;
  mem_out_error (call->out, "%s",
                 error != NULL ? error : "ERR value is not a valid float");
  return FALSE;
}

void mem_wrong_arguments (MemCall *call)
{
  mem_out_error (call->out, "ERR wrong number of arguments for '%s' command",
                 call->command->name);
}

void mem_syntax_error (MemCall *call)
{
  mem_out_error (call->out, "ERR syntax error");
}

gboolean mem_clip (gint64 *first, gint64 *last, gsize count)
{
  gint64 n = (gint64) count;

  if (*first < 0)
    *first = MAX (*first + n, 0);
  if (*last < 0)
    *last += n;
  if (*last >= n)
    *last = n - 1;
  return *first <= *last && *first < n;
}
