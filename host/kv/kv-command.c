/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a caller's arguments to a run with the driver. */
#include "base/clock-private.h"
#include "kv/kv-private.h"

#include <string.h>

#define MAX_ARGUMENTS (1024 * 1024)
#define MAX_BYTES (512 * 1024 * 1024)
#define FEW 16

/* Arguments on their way into a run. */
typedef struct {
  const char *const *argv;
  const gsize *sizes;
  const gboolean *is_key;
  gsize argc;
  gsize pattern_at; /* gets the escaped prefix; 0: none */
  gboolean add_match;
} Arguments;

static char *put (char *at, const char *text, gsize size)
{
  if (size > 0)
    memcpy (at, text, size);
  return at + size;
}

/* One allocation: the run, the pointers, the sizes, the bytes. */
static ChKvRun *run_build (ChKv *kv, const Arguments *args)
{
  gsize argc = args->argc + (args->add_match ? 2 : 0);
  gsize bytes = argc;

  for (gsize i = 0; i < args->argc; i++)
    bytes += args->sizes[i]
             + (args->is_key != NULL && args->is_key[i] ? kv->prefix_size : 0);
  if (args->pattern_at > 0 || args->add_match)
    bytes += 2 * kv->prefix_size + sizeof "MATCH*";

  ChKvRun *run
      = g_malloc (sizeof (ChKvRun) + argc * (sizeof (char *) + sizeof (gsize)) + bytes);
  memset (run, 0, sizeof *run);
  run->kv = kv;
  run->argc = argc;
  run->argv = (char **) (run + 1);
  run->sizes = (gsize *) (run->argv + argc);
  char *at = (char *) (run->sizes + argc);
  for (gsize i = 0; i < args->argc; i++) {
    run->argv[i] = at;
    if (args->is_key != NULL && args->is_key[i])
      at = put (at, kv->prefix, kv->prefix_size);
    if (i > 0 && i == args->pattern_at)
      at = put (at, kv->pattern_prefix, strlen (kv->pattern_prefix));
    at = put (at, args->argv[i], args->sizes[i]);
    run->sizes[i] = (gsize) (at - run->argv[i]);
    *at++ = '\0';
  }
  if (args->add_match) {
    run->argv[argc - 2] = at;
    run->sizes[argc - 2] = 5;
    at = put (at, "MATCH", 6);
    run->argv[argc - 1] = at;
    at = put (at, kv->pattern_prefix, strlen (kv->pattern_prefix));
    at = put (at, "*", 2);
    run->sizes[argc - 1] = (gsize) (at - run->argv[argc - 1]) - 1;
  }
  return run;
}

static void find_pattern (const ChKvCommandInfo *info, Arguments *args)
{
  if (info->kind == CH_KV_KEYS_PATTERN) {
    args->pattern_at = args->argc > 1 ? 1 : 0;
    return;
  }
  for (gsize i = 2; i + 1 < args->argc; i += 2)
    if (g_ascii_strcasecmp (args->argv[i], "MATCH") == 0)
      args->pattern_at = i + 1;
  /* An option without its value stays last, so that it is the error that it is. */
  args->add_match = args->pattern_at == 0 && args->argc > 1 && args->argc % 2 == 0;
}

static ChKvRun *run_prefixed (ChKv *kv, const ChKvCommandInfo *info,
                              const Arguments *given)
{
  gboolean few[FEW] = {FALSE};
  g_autofree gboolean *many = given->argc > FEW ? g_new0 (gboolean, given->argc) : NULL;
  gboolean *is_key = many != NULL ? many : few;
  Arguments args = *given;

  if (info->kind == CH_KV_KEYS_PATTERN || info->kind == CH_KV_KEYS_SCAN)
    find_pattern (info, &args);
  else if (ch_kv_command_keys (info, args.argv, args.argc, is_key))
    args.is_key = is_key;
  return run_build (kv, &args);
}

/* A command that blocks has its own time besides; 0 is for ever. */
static gint64 blocking_us (const ChKvRun *run)
{
  gsize at = (run->info->flags & CH_KV_TIMEOUT_FIRST) != 0 ? 1 : run->argc - 1;
  double seconds = at < run->argc ? g_ascii_strtod (run->argv[at], NULL) : 0;
  if (!(seconds > 0) || seconds > (double) G_MAXINT32)
    return -1;
  return (gint64) (seconds * (double) G_USEC_PER_SEC);
}

static void set_deadline (ChKvRun *run)
{
  gint64 timeout_us
      = run->caller->timeout_us > 0 ? run->caller->timeout_us : run->kv->timeout_us;
  if (run->blocking) {
    gint64 own_us = blocking_us (run);
    if (own_us < 0) {
      run->deadline_us = G_MAXINT64;
      return;
    }
    timeout_us += own_us;
  }
  run->deadline_us = run->started_us + timeout_us;
}

static void submit (ChKv *kv, ChKvRun *run)
{
  if (G_UNLIKELY (kv->driver == NULL)) {
    ch_kv_run_fail (run, CH_KV_ERROR_UNAVAILABLE, "no kv is open");
    return;
  }
  if (G_UNLIKELY (kv->pending > kv->queue_max)) {
    ch_kv_run_fail (run, CH_KV_ERROR_BUSY, "the kv's queue is full");
    return;
  }
  if (G_UNLIKELY (run->info != NULL && (run->info->flags & CH_KV_REFUSED) != 0)) {
    g_autofree char *message = g_strdup_printf (
        "%s would change the shared connection; use ch_kv_subscribe() or "
        "a function of a library",
        run->info->name);
    ch_kv_run_fail (run, CH_KV_ERROR_USAGE, message);
    return;
  }
  run->in_driver = TRUE;
  run->slotted = run->caller->slotted;
  set_deadline (run);
  /* The driver may complete it inside the call, and then it must not be looked at. */
  kv->submitted = run;
  kv->driver->submit (kv->driver_plugin, run);
  if (kv->submitted == run)
    ch_kv_run_arm (run);
  kv->submitted = NULL;
}

static void command_sized (ChPlugin *self, ChKvDone done, gpointer user_data,
                           const char *const *argv, const gsize *sizes, gsize argc)
{
  ChKv *kv = self->services->kv;
  Arguments args = {.argv = argv, .sizes = sizes, .argc = argc};
  gsize bytes = 0;
  ChKvRun *run;

  for (gsize i = 0; i < argc; i++)
    bytes += sizes[i];
  gboolean fits = argc > 0 && argc <= MAX_ARGUMENTS && bytes <= MAX_BYTES;
  if (G_UNLIKELY (!fits))
    args.argc = 0;
  const ChKvCommandInfo *info
      = fits ? ch_kv_command_info (&kv->commands, argv[0], sizes[0]) : NULL;
  if (kv->prefix_size > 0 && info != NULL)
    run = run_prefixed (kv, info, &args);
  else
    run = run_build (kv, &args);
  run->info = info;
  run->done = done;
  run->user_data = user_data;
  run->blocking = info != NULL && (info->flags & CH_KV_BLOCKING) != 0;
  run->started_us = ch_clock_monotonic_us (kv->services->clock);
  ch_kv_caller_push (ch_kv_caller (kv, self), run);
  if (G_UNLIKELY (!fits))
    ch_kv_run_fail (run, CH_KV_ERROR_USAGE,
                    "a command without or with too many arguments");
  else
    submit (kv, run);
}

void ch_kv_command (ChPlugin *self, ChKvDone done, gpointer user_data,
                    const char *const *argv, const gsize *sizes, gsize argc)
{
  gsize few[FEW];

  if (sizes != NULL) {
    command_sized (self, done, user_data, argv, sizes, argc);
    return;
  }
  g_autofree gsize *many = argc > FEW ? g_new (gsize, argc) : NULL;
  gsize *measured = many != NULL ? many : few;
  for (gsize i = 0; i < argc; i++)
    measured[i] = strlen (argv[i]);
  command_sized (self, done, user_data, argv, measured, argc);
}

void ch_kv_commandv (ChPlugin *self, ChKvDone done, gpointer user_data, ...)
{
  const char *few[FEW];
  g_autoptr (GPtrArray) many = NULL;
  gsize argc = 0;
  const char *arg;
  va_list args;

  va_start (args, user_data);
  while ((arg = va_arg (args, const char *)) != NULL) {
    if (argc == FEW) {
      many = g_ptr_array_new ();
      for (gsize i = 0; i < FEW; i++)
        g_ptr_array_add (many, (gpointer) few[i]);
    }
    if (many != NULL)
      g_ptr_array_add (many, (gpointer) arg);
    else
      few[argc] = arg;
    argc++;
  }
  va_end (args);
  ch_kv_command (self, done, user_data,
                 many != NULL ? (const char *const *) many->pdata : few, NULL, argc);
}

/* Decimal digits at the end of @text; g_snprintf would cost more than the call. */
static const char *digits (char text[24], gsize number)
{
  char *at = text + 23;
  *at = '\0';
  do {
    *--at = (char) ('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return at;
}

void ch_kv_call (ChPlugin *self, ChKvDone done, gpointer user_data, const char *function,
                 const char *const *keys, gsize n_keys, const char *const *args,
                 gsize n_args)
{
  const char *few[FEW];
  gsize argc = 3 + n_keys + n_args;
  g_autofree const char **many = argc > FEW ? g_new (const char *, argc) : NULL;
  const char **argv = many != NULL ? many : few;
  char number[24];

  argv[0] = "FCALL";
  argv[1] = function;
  argv[2] = digits (number, n_keys);
  for (gsize i = 0; i < n_keys; i++)
    argv[3 + i] = keys[i];
  for (gsize i = 0; i < n_args; i++)
    argv[3 + n_keys + i] = args[i];
  ch_kv_command (self, done, user_data, argv, NULL, argc);
}

void ch_kv_set_timeout (ChPlugin *self, guint timeout_ms)
{
  ch_kv_caller (self->services->kv, self)->timeout_us = (gint64) timeout_ms * 1000;
}

void ch_kv_set_slotted (ChPlugin *self, gboolean slotted)
{
  ch_kv_caller (self->services->kv, self)->slotted = !!slotted;
}

gsize ch_kv_run_argc (const ChKvRun *run)
{
  return run->argc;
}

const char *ch_kv_run_arg (const ChKvRun *run, gsize index, gsize *size)
{
  if (size != NULL)
    *size = run->sizes[index];
  return run->argv[index];
}

gint64 ch_kv_run_deadline_us (const ChKvRun *run)
{
  return run->deadline_us;
}

gboolean ch_kv_run_blocks (const ChKvRun *run)
{
  return run->blocking;
}

gboolean ch_kv_run_is_slotted (const ChKvRun *run)
{
  return run->slotted;
}

gsize ch_kv_run_first_key (const ChKvRun *run)
{
  return run->info != NULL ? ch_kv_command_first_key (
             run->info, (const char *const *) run->argv, run->argc)
                           : 0;
}
