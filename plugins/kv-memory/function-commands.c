/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FUNCTION, FCALL, EVAL and SCRIPT. */
#include "engine-private.h"
#include "glob.h"
#include "scripts.h"

#include <string.h>

static void fcall_generic (Mem *mem, MemCall *call, gboolean read_only)
{
  const MemFunction *function = mem_function_find (mem->engine, call->argv[1]);
  gint64 n_keys;

  if (function == NULL) {
    mem_out_error (call->out, "ERR Function not found");
    return;
  }
  if (!mem_parse_int (call->argv[2], &n_keys)) {
    mem_out_error (call->out, "ERR Bad number of keys provided");
    return;
  }
  if (n_keys > (gint64) call->argc - 3) {
    mem_out_error (call->out, "ERR Number of keys can't be greater than number of args");
    return;
  }
  if (n_keys < 0) {
    mem_out_error (call->out, "ERR Number of keys can't be negative");
    return;
  }
  gboolean writes = (function->flags & MEM_FUNCTION_NO_WRITES) == 0;
  gboolean allow_oom = (function->flags & MEM_FUNCTION_ALLOW_OOM) != 0;
  if (read_only && writes) {
    mem_out_error (call->out,
                   "ERR Can not execute a script with write flag using *_ro command.");
    return;
  }
  if (writes && !allow_oom && mem_is_full (mem)) {
    mem_out_error (call->out, "OOM command not allowed when used memory > 'maxmemory'.");
    return;
  }
  MemRun run = {.engine = mem->engine,
                .ref = function->ref,
                .name = function->name,
                .keys = call->argv + 3,
                .n_keys = (gsize) n_keys,
                .args = call->argv + 3 + n_keys,
                .n_args = call->argc - 3 - (gsize) n_keys,
                .read_only = !writes,
                .allow_oom = allow_oom,
                .out = call->out};
  mem_run (&run);
}

static void fcall (Mem *mem, MemCall *call)
{
  fcall_generic (mem, call, FALSE);
}

static void fcall_ro (Mem *mem, MemCall *call)
{
  fcall_generic (mem, call, TRUE);
}

static void eval (Mem *mem, MemCall *call)
{
  mem_script_eval (mem, call, FALSE, FALSE);
}

static void eval_ro (Mem *mem, MemCall *call)
{
  mem_script_eval (mem, call, FALSE, TRUE);
}

static void evalsha (Mem *mem, MemCall *call)
{
  mem_script_eval (mem, call, TRUE, FALSE);
}

static void evalsha_ro (Mem *mem, MemCall *call)
{
  mem_script_eval (mem, call, TRUE, TRUE);
}

/* ---- FUNCTION -----------------------------------------------------------------------
 */

static void function_load (Mem *mem, MemCall *call)
{
  gboolean replace = call->argc == 4 && mem_arg_is (call->argv[2], "REPLACE");
  char *error;

  if (call->argc == 4 && !replace) {
    g_autofree char *option = g_strndup (call->argv[2].p, call->argv[2].n);
    mem_out_error (call->out, "ERR Unknown option given: %s", option);
    return;
  }
  MemLibrary *library
      = mem_library_load (mem->engine, call->argv[call->argc - 1], replace, &error);
  if (library != NULL)
    mem_out_text (call->out, library->name);
  else
    mem_out_error_bytes (call->out, error, strlen (error));
  if (library == NULL)
    g_free (error);
}

static void reply_flags (MemOut *out, MemFunctionFlags flags)
{
  static const char *const names[]
      = {"no-writes", "allow-oom", "allow-stale", "no-cluster"};
  gsize opened = mem_out_open (out);
  gsize n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if ((flags & (1u << i)) == 0)
      continue;
    mem_out_status (out, names[i]);
    n++;
  }
  mem_out_close (out, opened, n);
}

static void reply_library (MemOut *out, const MemLibrary *library, gboolean with_code)
{
  mem_out_array (out, with_code ? 8 : 6);
  mem_out_text (out, "library_name");
  mem_out_text (out, library->name);
  mem_out_text (out, "engine");
  mem_out_text (out, "LUA");
  mem_out_text (out, "functions");
  mem_out_array (out, library->functions->len);
  for (guint i = 0; i < library->functions->len; i++) {
    const MemFunction *function = g_ptr_array_index (library->functions, i);
    mem_out_array (out, 6);
    mem_out_text (out, "name");
    mem_out_text (out, function->name);
    mem_out_text (out, "description");
    if (function->description != NULL)
      mem_out_text (out, function->description);
    else
      mem_out_nil (out);
    mem_out_text (out, "flags");
    reply_flags (out, function->flags);
  }
  if (with_code) {
    mem_out_text (out, "library_code");
    mem_out_text (out, library->code);
  }
}

static void function_list (Mem *mem, MemCall *call)
{
  gboolean with_code = FALSE;
  MemBytes pattern = {NULL, 0};

  for (gsize i = 2; i < call->argc; i++) {
    if (!with_code && mem_arg_is (call->argv[i], "WITHCODE")) {
      with_code = TRUE;
    } else if (pattern.p == NULL && mem_arg_is (call->argv[i], "LIBRARYNAME")) {
      if (i + 1 >= call->argc) {
        mem_out_error (call->out, "ERR library name argument was not given");
        return;
      }
      pattern = call->argv[++i];
    } else {
      g_autofree char *option = g_strndup (call->argv[i].p, call->argv[i].n);
      mem_out_error (call->out, "ERR Unknown argument %s", option);
      return;
    }
  }
  g_autoptr (GPtrArray) libraries = mem_library_list (mem->engine);
  gsize opened = mem_out_open (call->out);
  gsize n = 0;
  for (guint i = 0; i < libraries->len; i++) {
    const MemLibrary *library = g_ptr_array_index (libraries, i);
    MemBytes name = {library->name, strlen (library->name)};
    if (pattern.p != NULL && !mem_glob_match (pattern, name))
      continue;
    reply_library (call->out, library, with_code);
    n++;
  }
  mem_out_close (call->out, opened, n);
}

static void function_delete (Mem *mem, MemCall *call)
{
  g_autofree char *name = g_strndup (call->argv[2].p, call->argv[2].n);

  if (mem_library_delete (mem->engine, name))
    mem_out_ok (call->out);
  else
    mem_out_error (call->out, "ERR Library not found");
}

static void function_flush (Mem *mem, MemCall *call)
{
  if (call->argc == 3 && !mem_arg_is (call->argv[2], "SYNC")
      && !mem_arg_is (call->argv[2], "ASYNC")) {
    mem_out_error (call->out, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    return;
  }
  mem_library_flush (mem->engine);
  mem_out_ok (call->out);
}

static void function (Mem *mem, MemCall *call)
{
  static const MemSubcommand subcommands[]
      = {{"LOAD", "function|load", 3, 4, function_load},
         {"LIST", "function|list", 2, 5, function_list},
         {"DELETE", "function|delete", 3, 3, function_delete},
         {"FLUSH", "function|flush", 2, 3, function_flush},
         {NULL}};
  mem_run_subcommand (mem, call, subcommands, "FUNCTION");
}

const MemCommand mem_function_commands[]
    = {{"fcall", -3, MEM_READ | MEM_NO_SCRIPT, fcall},
       {"fcall_ro", -3, MEM_READ | MEM_NO_SCRIPT, fcall_ro},
       {"eval", -3, MEM_READ | MEM_NO_SCRIPT, eval},
       {"eval_ro", -3, MEM_READ | MEM_NO_SCRIPT, eval_ro},
       {"evalsha", -3, MEM_READ | MEM_NO_SCRIPT, evalsha},
       {"evalsha_ro", -3, MEM_READ | MEM_NO_SCRIPT, evalsha_ro},
       {"function", -2, MEM_WRITE | MEM_NO_SCRIPT, function},
       {"script", -2, MEM_READ | MEM_NO_SCRIPT, mem_script_command},
       {NULL}};
