/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about the connection and the server. */
#include "memory.h"

static void ping (Mem *mem, MemCall *call)
{
  if (call->argc > 2)
    mem_wrong_arguments (call);
  else if (call->argc == 2)
    mem_out_bytes (call->out, call->argv[1].p, call->argv[1].n);
  else
    mem_out_status (call->out, "PONG");
}

static void echo (Mem *mem, MemCall *call)
{
  mem_out_bytes (call->out, call->argv[1].p, call->argv[1].n);
}

/* There is one database. */
static void select_db (Mem *mem, MemCall *call)
{
  gint64 number;

  if (!mem_arg_int_error (call, 1, &number, "ERR invalid DB index"))
    return;
  if (number == 0)
    mem_out_ok (call->out);
  else
    mem_out_error (call->out, "ERR DB index is out of range");
}

static void time_of_day (Mem *mem, MemCall *call)
{
  mem_out_array (call->out, 2);
  mem_out_number (call->out, mem->now_ms / 1000);
  mem_out_number (call->out, mem->now_ms % 1000 * 1000);
}

static void dbsize (Mem *mem, MemCall *call)
{
  mem_out_integer (call->out, (gint64) mem_dict_count (&mem->keys));
}

static void flush (Mem *mem, MemCall *call)
{
  if (call->argc > 2
      || (call->argc == 2 && !mem_arg_is (call->argv[1], "SYNC")
          && !mem_arg_is (call->argv[1], "ASYNC"))) {
    mem_syntax_error (call);
    return;
  }
  mem_delete_all (mem);
  mem_changed (mem);
  mem_out_ok (call->out);
}

static gboolean wants (const MemCall *call, const char *section)
{
  if (call->argc == 1)
    return TRUE;
  for (gsize i = 1; i < call->argc; i++)
    if (mem_arg_is (call->argv[i], section) || mem_arg_is (call->argv[i], "ALL")
        || mem_arg_is (call->argv[i], "DEFAULT")
        || mem_arg_is (call->argv[i], "EVERYTHING"))
      return TRUE;
  return FALSE;
}

static void info (Mem *mem, MemCall *call)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (wants (call, "SERVER"))
    g_string_append_printf (
        text,
        "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n"
        "run_id:%s\r\nuptime_in_seconds:%" G_GINT64_FORMAT "\r\n\r\n",
        mem->run_id, MAX (mem->now_ms - mem->started_ms, 0) / 1000);
  if (wants (call, "MEMORY"))
    g_string_append_printf (text,
                            "# Memory\r\nused_memory:%" G_GSIZE_FORMAT
                            "\r\nmaxmemory:%" G_GSIZE_FORMAT "\r\n\r\n",
                            mem->heap.used, mem->max_memory);
  if (wants (call, "STATS"))
    g_string_append_printf (
        text, "# Stats\r\ntotal_commands_processed:%" G_GUINT64_FORMAT "\r\n\r\n",
        mem->n_executed);
  if (wants (call, "KEYSPACE") && mem_dict_count (&mem->keys) > 0)
    g_string_append_printf (text,
                            "# Keyspace\r\ndb0:keys=%" G_GSIZE_FORMAT
                            ",expires=%" G_GSIZE_FORMAT ",avg_ttl=0\r\n\r\n",
                            mem_dict_count (&mem->keys), mem->expiry.count);
  gsize size = text->len >= 2 ? text->len - 2 : 0; /* no empty line at the end */
  mem_out_bytes (call->out, text->str, size);
}

const MemCommand mem_server_commands[] = {{"ping", -1, MEM_READ, ping},
                                          {"echo", 2, MEM_READ, echo},
                                          {"select", 2, MEM_READ, select_db},
                                          {"time", 1, MEM_READ, time_of_day},
                                          {"dbsize", 1, MEM_READ, dbsize},
                                          {"flushall", -1, MEM_WRITE, flush},
                                          {"flushdb", -1, MEM_WRITE, flush},
                                          {"info", -1, MEM_READ, info},
                                          {NULL}};
