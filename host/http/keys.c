/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/keys.h"

#include <string.h>
#include <sys/random.h>

#define MAX_SCOPES 64
#define RECENT 4        /* texts that are known */
#define RECENT_SIZE 128 /* of one, with NUL */

/* Texts of keys that were found lately: the same few come with every request, and the
 * hash of one costs more than all the rest of finding its key. */
typedef struct {
  char text[RECENT_SIZE]; /* padded with NULs */
  ChHttpKey *key;         /* in the table; NULL: a free place */
} Recent;

struct _ChHttpKeys {
  GHashTable *by_hash; /* of ChHttpKey, owned */
  GChecksum *sha256;
  Recent recent[RECENT];
  guint next_recent;
  guint n_scopes;
  char *scopes[MAX_SCOPES];
};

/* ---- a key ---------------------------------------------------------------------------
 */

ChHttpKey *ch_http_key_ref (ChHttpKey *key)
{
  key->refs++;
  return key;
}

void ch_http_key_unref (ChHttpKey *key)
{
  if (--key->refs > 0)
    return;
  g_free (key->id);
  g_free (key->name);
  g_free (key->display);
  g_free (key->hmac_secret);
  g_clear_pointer (&key->networks, g_ptr_array_unref);
  g_free (key);
}

ChHttpKey *ch_http_key_new (const char *id, const char *text)
{
  ChHttpKey *key = g_new0 (ChHttpKey, 1);
  key->refs = 1;
  key->id = g_strdup (id);
  if (text != NULL) {
    gsize size = strlen (text), n = sizeof key->hash;
    g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
    g_checksum_update (sum, (const guchar *) text, (gssize) size);
    g_checksum_get_digest (sum, key->hash, &n);
    key->display = size > 8 ? g_strdup_printf ("%.4s****%s", text, text + size - 4)
                            : g_strdup ("****");
  }
  return key;
}

void ch_http_key_make (char text[CH_HTTP_KEY_TEXT_SIZE])
{
  guint8 bytes[32];
  for (gsize done = 0; done < sizeof bytes;) {
    ssize_t n = getrandom (bytes + done, sizeof bytes - done, 0);
    if (n > 0)
      done += (gsize) n;
  }
  g_autofree char *base64 = g_base64_encode (bytes, sizeof bytes);
  g_strdelimit (base64, "+", '-');
  g_strdelimit (base64, "/", '_');
  g_snprintf (text, CH_HTTP_KEY_TEXT_SIZE, "chk_%.43s", base64);
  explicit_bzero (bytes, sizeof bytes);
}

/* ---- the table -----------------------------------------------------------------------
 */

static guint hash_of_hash (gconstpointer data)
{
  const ChHttpKey *key = data;
  guint value;
  memcpy (&value, key->hash, sizeof value);
  return value;
}

/* In constant time: how much of a guess is right must not be measurable. */
static gboolean same_hash (gconstpointer a, gconstpointer b)
{
  const ChHttpKey *x = a, *y = b;
  guint difference = 0;
  for (gsize i = 0; i < sizeof x->hash; i++)
    difference |= (guint) (x->hash[i] ^ y->hash[i]);
  return difference == 0;
}

static void unref_key (gpointer data)
{
  ch_http_key_unref (data);
}

ChHttpKeys *ch_http_keys_new (void)
{
  ChHttpKeys *keys = g_new0 (ChHttpKeys, 1);
  keys->by_hash = g_hash_table_new_full (hash_of_hash, same_hash, NULL, unref_key);
  keys->sha256 = g_checksum_new (G_CHECKSUM_SHA256);
  return keys;
}

/* Before the table changes. */
static void forget_recent (ChHttpKeys *keys)
{
  explicit_bzero (keys->recent, sizeof keys->recent);
}

void ch_http_keys_free (ChHttpKeys *keys)
{
  if (keys == NULL)
    return;
  forget_recent (keys);
  g_hash_table_unref (keys->by_hash);
  g_checksum_free (keys->sha256);
  for (guint i = 0; i < keys->n_scopes; i++)
    g_free (keys->scopes[i]);
  g_free (keys);
}

guint64 ch_http_keys_scope (ChHttpKeys *keys, const char *name)
{
  for (guint i = 0; i < keys->n_scopes; i++)
    if (g_str_equal (keys->scopes[i], name))
      return G_GUINT64_CONSTANT (1) << i;
  if (keys->n_scopes == MAX_SCOPES || *name == '\0')
    return 0;
  keys->scopes[keys->n_scopes] = g_strdup (name);
  return G_GUINT64_CONSTANT (1) << keys->n_scopes++;
}

guint64 ch_http_keys_scopes (ChHttpKeys *keys, const char *comma_separated)
{
  guint64 bits = 0;
  if (comma_separated == NULL)
    return 0;
  g_auto (GStrv) names = g_strsplit (comma_separated, ",", 32);
  for (char **name = names; *name != NULL; name++)
    bits |= ch_http_keys_scope (keys, g_strstrip (*name));
  return bits;
}

char *ch_http_keys_scope_names (ChHttpKeys *keys, guint64 scopes)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < keys->n_scopes; i++)
    if (scopes & G_GUINT64_CONSTANT (1) << i)
      g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", keys->scopes[i]);
  return g_string_free (text, FALSE);
}

void ch_http_keys_add (ChHttpKeys *keys, ChHttpKey *key)
{
  forget_recent (keys);
  g_hash_table_replace (keys->by_hash, key, key);
}

gboolean ch_http_keys_remove (ChHttpKeys *keys, const char *id)
{
  ChHttpKey *key = ch_http_keys_by_id (keys, id);
  if (key == NULL)
    return FALSE;
  key->revoked = TRUE; /* requests that hold it */
  forget_recent (keys);
  return g_hash_table_remove (keys->by_hash, key);
}

void ch_http_keys_clear (ChHttpKeys *keys, gboolean is_static)
{
  GHashTableIter iter;
  gpointer value;
  forget_recent (keys);
  g_hash_table_iter_init (&iter, keys->by_hash);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((ChHttpKey *) value)->is_static == is_static)
      g_hash_table_iter_remove (&iter);
}

/* In constant time, as same_hash(). */
static gboolean same_text (const char *a, const char *b)
{
  guint64 difference = 0;
  for (gsize i = 0; i < RECENT_SIZE; i += sizeof difference) {
    guint64 x, y;
    memcpy (&x, a + i, sizeof x);
    memcpy (&y, b + i, sizeof y);
    difference |= x ^ y;
  }
  return difference == 0;
}

static ChHttpKey *find_hashed (ChHttpKeys *keys, const char *text)
{
  ChHttpKey probe;
  gsize n = sizeof probe.hash;
  g_checksum_reset (keys->sha256);
  g_checksum_update (keys->sha256, (const guchar *) text, -1);
  g_checksum_get_digest (keys->sha256, probe.hash, &n);
  return g_hash_table_lookup (keys->by_hash, &probe);
}

ChHttpKey *ch_http_keys_find (ChHttpKeys *keys, const char *text)
{
  char padded[RECENT_SIZE] = {0};
  gsize size = strlen (text);
  ChHttpKey *key = NULL;

  if (size >= sizeof padded)
    return find_hashed (keys, text);
  memcpy (padded, text, size);
  for (guint i = 0; i < RECENT; i++)
    if (keys->recent[i].key != NULL && same_text (keys->recent[i].text, padded))
      key = keys->recent[i].key;
  if (key != NULL)
    return key;
  key = find_hashed (keys, text);
  if (key != NULL) {
    Recent *recent = &keys->recent[keys->next_recent++ % RECENT];
    memcpy (recent->text, padded, sizeof padded);
    recent->key = key;
  }
  return key;
}

ChHttpKey *ch_http_keys_by_id (ChHttpKeys *keys, const char *id)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, keys->by_hash);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (g_str_equal (((ChHttpKey *) value)->id, id))
      return value;
  return NULL;
}

gboolean ch_http_keys_any (ChHttpKeys *keys, guint64 scopes)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, keys->by_hash);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((ChHttpKey *) value)->scopes & scopes)
      return TRUE;
  return FALSE;
}

guint ch_http_keys_count (ChHttpKeys *keys)
{
  return g_hash_table_size (keys->by_hash);
}

void ch_http_keys_foreach (ChHttpKeys *keys, void (*func) (ChHttpKey *key, gpointer data),
                           gpointer data)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, keys->by_hash);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    func (value, data);
}
