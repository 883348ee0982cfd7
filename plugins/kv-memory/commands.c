/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding a command and running it. */
#include "blocking.h"
#include "memory.h"

#include <string.h>

#define SLOTS 1024 /* of the hash; the table has some 180 commands */
#define LONGEST_NAME 20
#define FEW 32
#define SHOWN 128 /* bytes of the arguments in the complaint about an unknown command */

static guint hash_name (const char *lower, gsize size)
{
  guint32 hash = 2166136261u;
  for (gsize i = 0; i < size; i++)
    hash = (hash ^ (guint8) lower[i]) * 16777619u;
  return (hash ^ (hash >> 15)) % SLOTS;
}

static void add_table (Mem *mem, const MemCommand *table)
{
  for (; table->name != NULL; table++) {
    guint slot = hash_name (table->name, strlen (table->name));
    while (mem->command_index[slot] != 0)
      slot = (slot + 1) % SLOTS;
    mem->commands = g_renew (const MemCommand *, mem->commands, mem->n_commands + 1);
    mem->commands[mem->n_commands++] = table;
    mem->command_index[slot] = (guint8) mem->n_commands;
    g_assert (mem->n_commands < 255);
  }
}

void mem_commands_init (Mem *mem)
{
  static const MemCommand *const tables[] = {
      mem_server_commands,   mem_key_commands,        mem_expire_commands,
      mem_scan_commands,     mem_string_commands,     mem_counter_commands,
      mem_hash_commands,     mem_list_commands,       mem_list_edit_commands,
      mem_blocking_commands, mem_set_commands,        mem_set_algebra_commands,
      mem_zset_commands,     mem_zset_range_commands, mem_zset_algebra_commands,
      mem_geo_commands,      mem_geo_search_commands, mem_pubsub_commands,
      mem_function_commands,
  };

  mem->command_index = g_new0 (guint8, SLOTS);
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    add_table (mem, tables[i]);
}

/* The names are letters and `_`; other bytes only must not become one of them. */
static char lower (char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}

const MemCommand *mem_command_find (const Mem *mem, MemBytes name)
{
  char text[LONGEST_NAME + 1];

  if (name.n > LONGEST_NAME)
    return NULL;
  for (gsize i = 0; i < name.n; i++)
    text[i] = lower (name.p[i]);
  text[name.n] = '\0';
  for (guint slot = hash_name (text, name.n); mem->command_index[slot] != 0;
       slot = (slot + 1) % SLOTS) {
    const MemCommand *command = mem->commands[mem->command_index[slot] - 1];
    if (strcmp (command->name, text) == 0)
      return command;
  }
  return NULL;
}

gboolean mem_command_arity_fits (const MemCommand *command, gsize argc)
{
  if (command->arity < 0)
    return argc >= (gsize) -command->arity;
  return argc == (gsize) command->arity;
}

gboolean mem_is_full (const Mem *mem)
{
  return mem->max_memory > 0 && mem->heap.used > mem->max_memory;
}

static void reply_unknown (const MemBytes *argv, gsize argc, MemOut *out)
{
  g_autoptr (GString) shown = g_string_new (NULL);

  for (gsize i = 1; i < argc && shown->len < SHOWN; i++) {
    gsize left = SHOWN - shown->len;
    g_string_append_c (shown, '\'');
    g_string_append_len (shown, argv[i].p, (gssize) MIN (argv[i].n, left));
    g_string_append (shown, "' ");
  }
  g_autofree char *name = g_strndup (argv[0].p, MIN (argv[0].n, SHOWN));
  mem_out_error (out, "ERR unknown command '%s', with args beginning with: %s", name,
                 shown->str);
}

/* Runs @argv and leaves exactly one value on @out, unless it returns TRUE: later. */
static gboolean execute (Mem *mem, const MemBytes *argv, gsize argc, MemOut *out,
                         ChKvRun *run)
{
  MemCall call = {.command = mem_command_find (mem, argv[0]),
                  .argv = argv,
                  .argc = argc,
                  .out = out,
                  .run = run};

  if (call.command == NULL) {
    reply_unknown (argv, argc, out);
    return FALSE;
  }
  if (!mem_command_arity_fits (call.command, argc)) {
    mem_wrong_arguments (&call);
    return FALSE;
  }
  if ((call.command->flags & MEM_GROWS) != 0 && mem_is_full (mem)) {
    mem_out_error (out, "OOM command not allowed when used memory > 'maxmemory'.");
    return FALSE;
  }
  mem->n_executed++;
  call.command->run (mem, &call);
  return call.deferred;
}

void mem_run_subcommand (Mem *mem, MemCall *call, const MemSubcommand *table,
                         const char *command)
{
  for (; table->name != NULL; table++) {
    if (!mem_arg_is (call->argv[1], table->name))
      continue;
    if (call->argc < table->least || call->argc > table->most)
      mem_out_error (call->out, "ERR wrong number of arguments for '%s' command",
                     table->full_name);
    else
      table->run (mem, call);
    return;
  }
  g_autofree char *name = g_strndup (call->argv[1].p, MIN (call->argv[1].n, SHOWN));
  mem_out_error (call->out, "ERR unknown subcommand '%s'. Try %s HELP.", name, command);
}

void mem_submit (Mem *mem, ChKvRun *run)
{
  gsize argc = ch_kv_run_argc (run);
  MemBytes few[FEW];
  g_autofree MemBytes *many = argc > FEW ? g_new (MemBytes, argc) : NULL;
  MemBytes *argv = many != NULL ? many : few;
  gsize at = 0;

  g_assert (argc > 0);
  for (gsize i = 0; i < argc; i++)
    argv[i].p = ch_kv_run_arg (run, i, &argv[i].n);
  mem->now_ms = ch_wall_ms (mem->self);
  mem_out_clear (&mem->out);
  if (!execute (mem, argv, argc, &mem->out, run))
    ch_kv_run_complete (run, mem_out_reply (&mem->out, &at), NULL);
  mem_blocking_serve (mem);
}
