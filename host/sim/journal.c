/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What survives a restart of the simulator: end reports that nobody acknowledged, and
 * business numbers. One file of JSON lines that only grows while the program runs and is
 * rewritten at its next start.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_NAME "reports.jsonl"
#define MAX_FILE (512 * 1024 * 1024)

struct SimJournal {
  Sim *sim;
  char *path;
  int fd;
  int lock;
  guint32 seq;
  /* While reading: key to line, in the order of their first appearance. */
  GPtrArray *order; /* keys, owned by @lines */
  GHashTable *lines;
};

static gboolean write_all (int fd, const char *text, gsize size)
{
  while (size > 0) {
    ssize_t n = write (fd, text, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return FALSE;
    text += n;
    size -= (gsize) n;
  }
  return TRUE;
}

static void append_line (SimJournal *journal, const char *line)
{
  if (!write_all (journal->fd, line, strlen (line)))
    report_note (journal->sim, NULL, "cannot write %s: %s", journal->path,
                 g_strerror (errno));
}

/* ---- while it runs ---------------------------------------------------------------- */

guint32 journal_end (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  SimJournal *journal = gateway->sim->journal;
  char hex[2 * BKV_MAX_FRAME + 1];
  char name[BKV_GATEWAY_TEXT_SIZE];

  if (journal == NULL)
    return 0;
  bkv_hex (bytes, size, hex);
  gateway_name (gateway, name);
  g_autofree char *line = g_strdup_printf (
      "{\"op\":\"end\",\"gateway\":\"%s\",\"seq\":%u,\"frame\":\"%s\"}\n", name,
      ++journal->seq, hex);
  append_line (journal, line);
  return journal->seq;
}

void journal_acked (SimGateway *gateway, guint32 seq)
{
  SimJournal *journal = gateway->sim->journal;
  char line[64];

  if (journal == NULL)
    return;
  g_snprintf (line, sizeof line, "{\"op\":\"acked\",\"seq\":%u}\n", seq);
  append_line (journal, line);
}

void journal_number (SimGateway *gateway, int socket, int port, guint16 value)
{
  SimJournal *journal = gateway->sim->journal;
  char name[BKV_GATEWAY_TEXT_SIZE];
  char line[160];

  if (journal == NULL)
    return;
  gateway_name (gateway, name);
  g_snprintf (line, sizeof line,
              "{\"op\":\"number\",\"gateway\":\"%s\",\"socket\":%d,\"port\":%d,"
              "\"value\":%u}\n",
              name, socket, port, value);
  append_line (journal, line);
}

/* ---- reading ---------------------------------------------------------------------- */

static void keep_line (SimJournal *journal, char *key, const char *line)
{
  if (!g_hash_table_contains (journal->lines, key))
    g_ptr_array_add (journal->order, g_strdup (key));
  g_hash_table_replace (journal->lines, key, g_strdup (line));
}

static gint64 member (const json_t *object, const char *name)
{
  return json_integer_value (json_object_get (object, name));
}

/* FALSE: not a line of ours; a last line that was cut off by a crash is one. */
static gboolean read_line (SimJournal *journal, const char *line)
{
  json_t *object = json_loads (line, 0, NULL);
  const char *op = json_string_value (json_object_get (object, "op"));
  const char *gateway = json_string_value (json_object_get (object, "gateway"));
  guint32 seq = (guint32) member (object, "seq");
  gboolean known = TRUE;

  if (g_strcmp0 (op, "end") == 0 && gateway != NULL && seq > 0) {
    keep_line (journal, g_strdup_printf ("end/%u", seq), line);
    journal->seq = MAX (journal->seq, seq);
  } else if (g_strcmp0 (op, "acked") == 0) {
    g_autofree char *key = g_strdup_printf ("end/%u", seq);
    g_hash_table_remove (journal->lines, key);
    journal->seq = MAX (journal->seq, seq);
  } else if (g_strcmp0 (op, "number") == 0 && gateway != NULL)
    keep_line (journal,
               g_strdup_printf ("number/%s/%d/%d", gateway,
                                (int) member (object, "socket"),
                                (int) member (object, "port")),
               line);
  else
    known = FALSE;
  json_decref (object);
  return known;
}

static SimGateway *find_gateway (const Sim *sim, const char *name)
{
  guint64 number = g_ascii_strtoull (name, NULL, 10);
  if (number < sim->options.first_id || number - sim->options.first_id >= sim->n_gateways)
    return NULL;
  return &sim->gateways[number - sim->options.first_id];
}

static void restore_number (SimGateway *gateway, const json_t *object)
{
  int port = (int) member (object, "port");
  int number = (int) member (object, "socket");
  guint16 value = (guint16) member (object, "value");
  SimSocket *socket = number >= 0 ? socket_find (gateway, (guint) number) : NULL;

  if (number < 0)
    gateway->counter = value;
  else if (socket != NULL && port < 0)
    socket->counter = value;
  else if (socket != NULL && port < SIM_OUTLETS)
    socket->outlets[port].counter = value;
}

static void restore_end (SimGateway *gateway, const json_t *object)
{
  const char *hex = json_string_value (json_object_get (object, "frame"));
  gsize size = hex != NULL ? strlen (hex) / 2 : 0;
  guint8 bytes[BKV_MAX_FRAME];

  if (size == 0 || size > sizeof bytes || !bkv_hex_parse (hex, bytes, size)
      || !ends_restore (gateway, (guint32) member (object, "seq"), bytes, size))
    report_note (gateway->sim, gateway, "an end report in the journal is unreadable");
}

/* Lines of gateways that are not part of this run stay in the file. */
static void restore (SimJournal *journal, const char *line)
{
  json_t *object = json_loads (line, 0, NULL);
  const char *name = json_string_value (json_object_get (object, "gateway"));
  SimGateway *gateway = name != NULL ? find_gateway (journal->sim, name) : NULL;

  if (gateway != NULL) {
    if (json_object_get (object, "frame") != NULL)
      restore_end (gateway, object);
    else
      restore_number (gateway, object);
  }
  json_decref (object);
}

static gboolean rewrite (SimJournal *journal, GError **error)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < journal->order->len; i++) {
    const char *line = g_hash_table_lookup (journal->lines, journal->order->pdata[i]);
    if (line == NULL)
      continue;
    restore (journal, line);
    g_string_append_printf (text, "%s\n", line);
  }
  gboolean ok = g_file_set_contents (journal->path, text->str, (gssize) text->len, error);
  g_string_free (text, TRUE);
  return ok;
}

static gboolean read_file (SimJournal *journal, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) missing = NULL;
  gsize size = 0;
  guint bad = 0;

  if (!g_file_get_contents (journal->path, &text, &size, &missing)) {
    if (g_error_matches (missing, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    g_propagate_error (error, g_steal_pointer (&missing));
    return FALSE;
  }
  if (size > MAX_FILE) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s is too large",
                 journal->path);
    return FALSE;
  }
  for (char *line = text, *end; line != NULL && *line != '\0'; line = end) {
    end = strchr (line, '\n');
    if (end != NULL)
      *end++ = '\0';
    if (!read_line (journal, line))
      bad++;
  }
  if (bad > 0)
    report_note (journal->sim, NULL, "%s: %u unreadable lines left out", journal->path,
                 bad);
  return TRUE;
}

/* Two simulators on one journal would acknowledge each other's reports. */
static gboolean lock_dir (SimJournal *journal, const char *dir, GError **error)
{
  g_autofree char *lock = g_build_filename (dir, "lock", NULL);
  journal->lock = open (lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (journal->lock >= 0 && flock (journal->lock, LOCK_EX | LOCK_NB) == 0)
    return TRUE;
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", lock,
               errno == EWOULDBLOCK ? "another simulator uses this folder"
                                    : g_strerror (errno));
  return FALSE;
}

SimJournal *journal_open (Sim *sim, const char *dir, GError **error)
{
  SimJournal *journal = g_new0 (SimJournal, 1);
  journal->sim = sim;
  journal->fd = journal->lock = -1;
  journal->path = g_build_filename (dir, FILE_NAME, NULL);
  journal->order = g_ptr_array_new_with_free_func (g_free);
  journal->lines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  gboolean ok = FALSE;
  if (g_mkdir_with_parents (dir, 0755) < 0)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", dir,
                 g_strerror (errno));
  else
    ok = lock_dir (journal, dir, error) && read_file (journal, error)
         && rewrite (journal, error);
  g_clear_pointer (&journal->order, g_ptr_array_unref);
  g_clear_pointer (&journal->lines, g_hash_table_unref);
  if (ok) {
    journal->fd = open (journal->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (journal->fd >= 0)
      return journal;
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", journal->path,
                 g_strerror (errno));
  }
  journal_close (journal);
  return NULL;
}

void journal_close (SimJournal *journal)
{
  if (journal == NULL)
    return;
  if (journal->fd >= 0)
    close (journal->fd);
  if (journal->lock >= 0)
    close (journal->lock);
  g_free (journal->path);
  g_free (journal);
}
