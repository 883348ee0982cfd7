/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target over a corpus as a unit test: every input of a vector file
 * (argument 1, member `hex`), every prefix of the short ones, and a bounded number of
 * mutations from a fixed seed, half of them with repaired sums. A file as further
 * argument is fed as it is, to look into a finding.
 */
#include "fuzz.h"
#include <jansson.h>
#include <string.h>

#define MUTATIONS 400 /* of each vector */
#define INPUT_MAX 8192

static GByteArray *hex_bytes (const char *hex)
{
  GByteArray *bytes = g_byte_array_new ();

  for (; hex[0] != 0 && hex[1] != 0; hex += 2) {
    guint8 byte
        = (guint8) (g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]));

    g_byte_array_append (bytes, &byte, 1);
  }
  return bytes;
}

static void mutate (GRand *rand, GByteArray *bytes, const GByteArray *other)
{
  guint rounds = (guint) g_rand_int_range (rand, 1, 6);

  for (guint i = 0; i < rounds && bytes->len > 1; i++) {
    guint at = (guint) g_rand_int_range (rand, 0, (gint32) bytes->len);

    switch (g_rand_int_range (rand, 0, 6)) {
    case 0:
      bytes->data[at] ^= (guint8) (1 << g_rand_int_range (rand, 0, 8));
      break;
    case 1:
      bytes->data[at] = (guint8) g_rand_int_range (rand, 0, 256);
      break;
    case 2: /* a limit */
      bytes->data[at] = (guint8) (g_rand_boolean (rand) ? 0xFF : 0);
      break;
    case 3: {
      guint length = (guint) g_rand_int_range (rand, 1, 9);

      g_byte_array_remove_range (bytes, at, MIN (bytes->len - at, length));
      break;
    }
    case 4: /* repeat a piece */
      if (bytes->len < INPUT_MAX / 2) {
        g_autofree guint8 *piece = g_memdup2 (bytes->data + at, bytes->len - at);

        g_byte_array_append (bytes, piece, bytes->len - at);
      }
      break;
    default: /* a piece of another input */
      if (other->len > 0 && bytes->len < INPUT_MAX / 2) {
        guint from = (guint) g_rand_int_range (rand, 0, (gint32) other->len);

        g_byte_array_set_size (bytes, at);
        g_byte_array_append (bytes, other->data + from, other->len - from);
      }
      break;
    }
  }
}

/* The input is an allocation of exactly its size, so that reading beyond it is seen. */
static void feed (const GByteArray *bytes)
{
  g_autofree guint8 *exact = g_memdup2 (bytes->data, bytes->len);

  LLVMFuzzerTestOneInput (exact, bytes->len);
}

static void run_one (GRand *rand, const GByteArray *bytes, const GByteArray *other)
{
  g_autoptr (GByteArray) work = g_byte_array_new ();

  feed (bytes);
  for (guint n = 0; n < MIN (bytes->len, 160); n++) {
    g_byte_array_set_size (work, 0);
    g_byte_array_append (work, bytes->data, n);
    feed (work);
  }
  for (guint i = 0; i < MUTATIONS; i++) {
    g_byte_array_set_size (work, 0);
    g_byte_array_append (work, bytes->data, bytes->len);
    mutate (rand, work, other);
    if (i % 2 == 0)
      fuzz_repair (work->data, work->len);
    feed (work);
  }
}

int main (int argc, char **argv)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (20251122);
  json_error_t error;
  json_t *vectors;
  gsize n;

  for (int i = 2; i < argc; i++) {
    g_autofree char *data = NULL;

    if (g_file_get_contents (argv[i], &data, &n, NULL))
      LLVMFuzzerTestOneInput ((const guint8 *) data, n);
  }
  if (argc > 2)
    return 0;
  vectors = argc > 1 ? json_load_file (argv[1], 0, &error) : NULL;
  if (!json_is_array (vectors)) {
    g_printerr ("no vectors\n");
    return 1;
  }
  n = json_array_size (vectors);
  for (gsize i = 0; i < n; i++) {
    const json_t *vector = json_array_get (vectors, i);
    const json_t *next = json_array_get (vectors, (i * 7 + 3) % n);
    g_autoptr (GByteArray) bytes
        = hex_bytes (json_string_value (json_object_get (vector, "hex")));
    g_autoptr (GByteArray) other
        = hex_bytes (json_string_value (json_object_get (next, "hex")));

    run_one (rand, bytes, other);
  }
  json_decref (vectors);
  return 0;
}
