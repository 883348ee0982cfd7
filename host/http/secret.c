/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/secret.h"

#include <string.h>
#include <sys/random.h>

#define PREFIX "v1:"
#define NONCE 16
#define TAG 32

/* One key for each purpose, made from the master key. */
static void derive (const char *master, const char *purpose, guint8 key[TAG])
{
  gsize n = TAG;
  GHmac *hmac = g_hmac_new (G_CHECKSUM_SHA256, (const guchar *) master, strlen (master));
  g_hmac_update (hmac, (const guchar *) purpose, -1);
  g_hmac_get_digest (hmac, key, &n);
  g_hmac_unref (hmac);
}

/* Its own contrary. */
static void crypt_bytes (const guint8 key[TAG], const guint8 nonce[NONCE], guint8 *bytes,
                         gsize size)
{
  for (gsize done = 0; done < size; done += TAG) {
    guint8 block[TAG], counter[4];
    gsize n = TAG, number = done / TAG;
    for (guint i = 0; i < 4; i++)
      counter[i] = (guint8) (number >> (24 - 8 * i));
    GHmac *hmac = g_hmac_new (G_CHECKSUM_SHA256, key, TAG);
    g_hmac_update (hmac, nonce, NONCE);
    g_hmac_update (hmac, counter, sizeof counter);
    g_hmac_get_digest (hmac, block, &n);
    g_hmac_unref (hmac);
    for (gsize i = 0; i < TAG && done + i < size; i++)
      bytes[done + i] ^= block[i];
  }
}

static void make_tag (const guint8 key[TAG], const guint8 *bytes, gsize size,
                      guint8 tag[TAG])
{
  gsize n = TAG;
  GHmac *hmac = g_hmac_new (G_CHECKSUM_SHA256, key, TAG);
  g_hmac_update (hmac, bytes, (gssize) size);
  g_hmac_get_digest (hmac, tag, &n);
  g_hmac_unref (hmac);
}

static void random_bytes (guint8 *bytes, gsize size)
{
  for (gsize done = 0; done < size;) {
    ssize_t n = getrandom (bytes + done, size - done, 0);
    if (n > 0)
      done += (gsize) n;
  }
}

char *ch_http_secret_seal (const char *master, const char *text)
{
  if (master == NULL || *master == '\0' || text == NULL)
    return g_strdup (text);
  gsize size = strlen (text), total = NONCE + size + TAG;
  g_autofree guint8 *bytes = g_malloc (total);
  guint8 key[TAG];

  random_bytes (bytes, NONCE);
  memcpy (bytes + NONCE, text, size);
  derive (master, "encrypt", key);
  crypt_bytes (key, bytes, bytes + NONCE, size);
  derive (master, "authenticate", key);
  make_tag (key, bytes, NONCE + size, bytes + NONCE + size);
  explicit_bzero (key, sizeof key);
  g_autofree char *base64 = g_base64_encode (bytes, total);
  return g_strconcat (PREFIX, base64, NULL);
}

char *ch_http_secret_open (const char *master, const char *stored)
{
  guint8 key[TAG], tag[TAG];
  guint difference = 0;
  gsize total = 0;

  if (stored == NULL || !g_str_has_prefix (stored, PREFIX))
    return g_strdup (stored);
  if (master == NULL || *master == '\0')
    return NULL;
  g_autofree guint8 *bytes = g_base64_decode (stored + strlen (PREFIX), &total);
  if (total < NONCE + TAG)
    return NULL;
  gsize size = total - NONCE - TAG;
  derive (master, "authenticate", key);
  make_tag (key, bytes, NONCE + size, tag);
  for (guint i = 0; i < TAG; i++)
    difference |= (guint) (tag[i] ^ bytes[NONCE + size + i]);
  if (difference != 0)
    return NULL;
  derive (master, "encrypt", key);
  crypt_bytes (key, bytes, bytes + NONCE, size);
  explicit_bzero (key, sizeof key);
  return g_strndup ((const char *) bytes + NONCE, size);
}
