/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images: dlopen without side effects. An image is never closed, because one that made a
 * GQuark or left a pointer anywhere would crash much later; a changed file becomes a
 * second image under a name of its own, for the linker would give back the first.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_COPY (256 * 1024 * 1024)

gboolean ch_plugin_name_is_valid (const char *name)
{
  gsize n = strlen (name);

  if (n == 0 || n >= CH_RUNNER_MARK_SIZE || !g_ascii_islower (name[0]))
    return FALSE;
  for (const char *p = name; *p != '\0'; p++)
    if (!g_ascii_islower (*p) && !g_ascii_isdigit (*p) && *p != '-')
      return FALSE;
  return TRUE;
}

char *ch_plugin_name_of_path (const char *path, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);

  if (g_str_has_suffix (name, ".so"))
    name[strlen (name) - 3] = '\0';
  if (ch_plugin_name_is_valid (name))
    return g_steal_pointer (&name);
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_WRONG_NAME,
               "%s: a plugin's file is named like proto-bkv.so", path);
  return NULL;
}

static char *symbol_of_name (const char *name)
{
  char *symbol = g_strdup_printf ("ch_plugin_%s_query", name);

  for (char *p = symbol; *p != '\0'; p++)
    if (*p == '-')
      *p = '_';
  return symbol;
}

/*
 * What a file that was renamed is really called: the entry function stands as text in
 * its table of names. Only for the message.
 */
static char *find_entry (const char *path)
{
  static const char front[] = "ch_plugin_", back[] = "_query";
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
  const char *at = file != NULL ? g_mapped_file_get_contents (file) : NULL;
  const char *end = at != NULL ? at + g_mapped_file_get_length (file) : NULL;

  while (at != NULL
         && (at = memmem (at, (gsize) (end - at), front, strlen (front))) != NULL) {
    gsize n = strnlen (at, MIN ((gsize) (end - at), 64));
    if (n < 64 && n > strlen (back)
        && memcmp (at + n - strlen (back), back, strlen (back)) == 0)
      return g_utf8_make_valid (at, (gssize) n);
    at += strlen (front);
  }
  return NULL;
}

static void refuse_entry (const char *path, const char *name, const char *symbol,
                          GError **error)
{
  g_autofree char *found = find_entry (path);

  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NO_SYMBOL,
               "%s: the file is named %s, so its entry must be %s; it has %s", path, name,
               symbol, found != NULL ? found : "none");
}

const ChPluginInfo *ch_plugin_image_load (const char *path, const char *name,
                                          void **image, GError **error)
{
  g_autofree char *symbol = symbol_of_name (name);

  *image = dlopen (path, RTLD_NOW | RTLD_LOCAL);
  if (*image == NULL) {
    const char *why = dlerror ();
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_UNRESOLVED, "%s",
                 why != NULL ? why : path);
    return NULL;
  }
  ChPluginQuery query;
  *(void **) &query = dlsym (*image, symbol);
  if (query == NULL) {
    refuse_entry (path, name, symbol, error);
    return NULL;
  }
  const ChPluginInfo *info = query ();
  if (info == NULL) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR,
                 "%s: %s gives no descriptor", path, symbol);
    return NULL;
  }
  return ch_plugin_descriptor_check (info, name, path, error) ? info : NULL;
}

static gboolean fail (GError **error, const char *path)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "%s: %s", path,
               g_strerror (errno));
  return FALSE;
}

static gboolean write_all (int fd, const guint8 *bytes, gsize n)
{
  while (n > 0) {
    ssize_t put = write (fd, bytes, n);
    if (put < 0 && errno == EINTR)
      continue;
    if (put <= 0)
      return FALSE;
    bytes += put;
    n -= (gsize) put;
  }
  return TRUE;
}

static gboolean copy_contents (int from, int to)
{
  g_autofree guint8 *buffer = g_malloc (65536);
  gsize total = 0;

  for (;;) {
    ssize_t got = read (from, buffer, 65536);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got == 0;
    total += (gsize) got;
    if (total > MAX_COPY) {
      errno = EFBIG;
      return FALSE;
    }
    if (!write_all (to, buffer, (gsize) got))
      return FALSE;
  }
}

char *ch_plugin_image_copy (const char *path, const char *directory, const char *name,
                            guint number, GError **error)
{
  g_autofree char *copy = g_strdup_printf ("%s/%s.%u.so", directory, name, number);

  if (g_mkdir_with_parents (directory, 0700) != 0) {
    fail (error, directory);
    return NULL;
  }
  (void) unlink (copy);
  int from = open (path, O_RDONLY | O_CLOEXEC);
  if (from < 0) {
    fail (error, path);
    return NULL;
  }
  int to = open (copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
  gboolean done = to >= 0 && copy_contents (from, to);
  if (!done)
    fail (error, copy);
  close (from);
  if (to >= 0)
    close (to);
  if (!done)
    (void) unlink (copy);
  return done ? g_steal_pointer (&copy) : NULL;
}

void ch_plugin_image_forget_copies (const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);

  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *path = g_build_filename (directory, name, NULL);
    if (g_str_has_suffix (name, ".so"))
      (void) unlink (path);
  }
}
