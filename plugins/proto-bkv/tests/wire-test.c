/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The codec against the vectors: decoding, encoding, every way to cut the stream. */
#include "proto-bkv/wire/wire.h"
#include <string.h>

static json_t *vectors;

static GByteArray *hex_bytes (const char *hex)
{
  gsize size = strlen (hex) / 2;
  GByteArray *bytes = g_byte_array_sized_new ((guint) size);

  g_byte_array_set_size (bytes, (guint) size);
  g_assert_true (bkv_hex_parse (hex, bytes->data, size));
  return bytes;
}

static const char *text (const json_t *object, const char *name)
{
  return json_string_value (json_object_get (object, name));
}

static GByteArray *vector_bytes (const json_t *vector)
{
  return hex_bytes (text (vector, "hex"));
}

static void assert_same_json (const char *name, const json_t *got, const json_t *want)
{
  if (!json_equal (got, want)) {
    char *a = json_dumps (got, JSON_SORT_KEYS);
    char *b = json_dumps (want, JSON_SORT_KEYS);

    g_error ("%s:\n got %s\nwant %s", name, a, b);
  }
}

static void assert_same_bytes (const char *name, const guint8 *got, gsize n,
                               const GByteArray *want)
{
  if (n != want->len || memcmp (got, want->data, n) != 0) {
    g_autofree char *hex = g_malloc (2 * n + 1);
    g_autofree char *wanted = g_malloc (2 * want->len + 1);

    bkv_hex (got, n, hex);
    bkv_hex (want->data, want->len, wanted);
    g_error ("%s:\n got %s\nwant %s", name, hex, wanted);
  }
}

/* The texts that describe a short payload are not part of the contract. */
static json_t *without_texts (const json_t *decoded)
{
  json_t *copy = json_deep_copy (decoded);
  json_t *items = json_object_get (copy, "items");

  json_object_del (copy, "payload_error");
  for (gsize i = 0; i < json_array_size (items); i++)
    json_object_del (json_array_get (items, i), "payload_error");
  return copy;
}

static void test_decode (void)
{
  gsize i;
  json_t *vector;

  json_array_foreach (vectors, i, vector)
  {
    g_autoptr (GByteArray) bytes = vector_bytes (vector);
    json_t *decoded = bkv_decode_json (bytes->data, bytes->len);
    json_t *got = without_texts (decoded);
    json_t *want = without_texts (json_object_get (vector, "decoded"));

    assert_same_json (text (vector, "name"), got, want);
    json_decref (decoded);
    json_decref (got);
    json_decref (want);
  }
}

/* ---- the stream in pieces --------------------------------------------------------- */

typedef struct {
  GByteArray *buffer;
  json_t *items;
  gsize discarded;
  const char *error;
} Stream;

static void stream_init (Stream *stream)
{
  *stream = (Stream) {g_byte_array_new (), json_array (), 0, NULL};
}

static void stream_clear (Stream *stream)
{
  g_byte_array_unref (stream->buffer);
  json_decref (stream->items);
}

static void stream_feed (Stream *stream, const guint8 *p, gsize n)
{
  gssize size;
  const char *error = NULL;

  g_byte_array_append (stream->buffer, p, (guint) n);
  while ((size
          = bkv_frame (stream->buffer->data, stream->buffer->len, BKV_MAX_FRAME, &error))
         != 0) {
    guint used = (guint) ABS (size);

    g_assert_cmpuint (used, <=, stream->buffer->len);
    if (size > 0) {
      json_array_append_new (stream->items, bkv_frame_json (stream->buffer->data, used));
    } else {
      stream->discarded += used;
      stream->error = stream->error != NULL ? stream->error : error;
    }
    g_byte_array_remove_range (stream->buffer, 0, used);
  }
  g_assert_cmpuint (stream->buffer->len, <, BKV_MAX_FRAME);
}

static void stream_compare (const Stream *stream, const json_t *vector)
{
  const json_t *decoded = json_object_get (vector, "decoded");
  const char *name = text (vector, "name");
  json_t *got;
  json_t *want;

  if (strcmp (text (decoded, "kind"), "bkv") == 0) {
    g_assert_cmpuint (json_array_size (stream->items), ==, 1);
    g_assert_cmpuint (stream->discarded + stream->buffer->len, ==, 0);
    got = without_texts (json_array_get (stream->items, 0));
    want = without_texts (decoded);
    assert_same_json (name, got, want);
  } else {
    const char *error = text (decoded, "error");

    g_assert_cmpint ((json_int_t) stream->discarded, ==,
                     json_integer_value (json_object_get (decoded, "discarded")));
    g_assert_cmpint ((json_int_t) stream->buffer->len, ==,
                     json_integer_value (json_object_get (decoded, "pending")));
    if (stream->error != NULL)
      g_assert_cmpstr (stream->error, ==, error);
    got = json_pack ("{s:O}", "items", stream->items);
    want = json_pack ("{s:O}", "items", json_object_get (decoded, "items"));
    assert_same_json (name, got, want);
  }
  json_decref (got);
  json_decref (want);
}

static void test_bytewise (void)
{
  gsize i;
  json_t *vector;

  json_array_foreach (vectors, i, vector)
  {
    g_autoptr (GByteArray) bytes = vector_bytes (vector);
    Stream stream;

    stream_init (&stream);
    for (guint k = 0; k < bytes->len; k++)
      stream_feed (&stream, bytes->data + k, 1);
    stream_compare (&stream, vector);
    stream_clear (&stream);
  }
}

static void test_segments (void)
{
  gsize i, k;
  json_t *vector, *size;
  guint seen = 0;

  json_array_foreach (vectors, i, vector)
  {
    g_autoptr (GByteArray) bytes = vector_bytes (vector);
    json_t *segments = json_object_get (vector, "segments");
    gsize at = 0;
    Stream stream;

    if (segments == NULL)
      continue;
    seen++;
    stream_init (&stream);
    json_array_foreach (segments, k, size)
    {
      gsize n = (gsize) json_integer_value (size);

      g_assert_cmpuint (at + n, <=, bytes->len);
      stream_feed (&stream, bytes->data + at, n);
      at += n;
    }
    g_assert_cmpuint (at, ==, bytes->len);
    stream_compare (&stream, vector);
    stream_clear (&stream);
  }
  g_assert_cmpuint (seen, >=, 3);
}

/* All valid vectors behind each other, in one piece. */
static void test_one_piece (void)
{
  json_t *want = json_array ();
  Stream stream;
  g_autoptr (GByteArray) all = g_byte_array_new ();
  gsize i;
  json_t *vector;

  stream_init (&stream);
  json_array_foreach (vectors, i, vector)
  {
    g_autoptr (GByteArray) bytes = vector_bytes (vector);
    json_t *decoded = json_object_get (vector, "decoded");

    if (!json_is_true (json_object_get (vector, "valid")))
      continue;
    g_byte_array_append (all, bytes->data, bytes->len);
    if (strcmp (text (decoded, "kind"), "bkv") == 0)
      json_array_append (want, decoded);
    else
      json_array_extend (want, json_object_get (decoded, "items"));
  }
  stream_feed (&stream, all->data, all->len);
  g_assert_cmpuint (stream.discarded + stream.buffer->len, ==, 0);
  assert_same_json ("one piece", stream.items, want);
  stream_clear (&stream);
  json_decref (want);
}

/* ---- encoding --------------------------------------------------------------------- */

static void test_encode (void)
{
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  gsize i;
  json_t *vector;
  guint n_encoded = 0;

  json_array_foreach (vectors, i, vector)
  {
    g_autoptr (GByteArray) bytes = vector_bytes (vector);
    const json_t *decoded = json_object_get (vector, "decoded");
    const char *name = text (vector, "name");
    const char *error = NULL;
    guint8 out[BKV_MAX_FRAME];
    gsize n;

    if (!json_is_true (json_object_get (vector, "valid"))
        || strcmp (text (decoded, "kind"), "bkv") != 0
        || json_is_false (json_object_get (vector, "encode")))
      continue;
    if (!bkv_from_json (decoded, frame, &error))
      g_error ("%s: %s", name, error);
    n = bkv_encode (frame, out, sizeof out);
    assert_same_bytes (name, out, n, bytes);
    /* What was decoded from the bytes encodes as well. */
    g_assert_true (bkv_decode (bytes->data, bytes->len, frame));
    n = bkv_encode (frame, out, sizeof out);
    assert_same_bytes (name, out, n, bytes);
    g_assert_cmpuint (bkv_encode (frame, out, bytes->len - 1), ==, 0);
    n_encoded++;
  }
  g_assert_cmpuint (n_encoded, >, 50);
}

static void test_tlvs (void)
{
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  gsize i;
  json_t *vector;
  guint n_encoded = 0;

  json_array_foreach (vectors, i, vector)
  {
    g_autoptr (GByteArray) bytes = vector_bytes (vector);
    const json_t *decoded = json_object_get (vector, "decoded");
    const json_t *tlvs = json_object_get (decoded, "tlvs");
    guint8 payload[BKV_MAX_FRAME], out[BKV_MAX_FRAME];
    gsize n;

    if (tlvs == NULL || json_object_get (decoded, "tlv_rest_hex") != NULL)
      continue;
    g_assert_true (bkv_decode (bytes->data, bytes->len, frame));
    n = bkv_tlvs_from_json (tlvs, payload, sizeof payload);
    n = bkv_wrap (frame, payload, n, out, sizeof out);
    assert_same_bytes (text (vector, "name"), out, n, bytes);
    n_encoded++;
  }
  g_assert_cmpuint (n_encoded, >, 15);
}

/* Kinds without a vector: decoded form and bytes agree both ways. */
static void test_round_trip (void)
{
  static const char *const frames[] = {
      "{'name':'card_charge','fields':{'socket':1,'port':0,'business_no':26,'switch':1,"
      "'mode':3,'minutes':0,'energy':0,'amount':500,'levels':[{'power_limit':2000,"
      "'price':25,'minutes':60},{'power_limit':20000,'price':500,'minutes':120}]}}",
      "{'name':'card_charge','fields':{'socket':1,'port':1,'business_no':2,'switch':0,"
      "'mode':1,'minutes':0,'energy':0}}",
      "{'name':'card_order_ack','fields':{'socket':1,'port':1,'result':1}}",
      "{'name':'balance_query','fields':{'socket':2,'port':0,'card':'000000298352'}}",
      "{'name':'set_voice_ack','fields':{'socket':1,'port':1,'result':0}}",
      "{'name':'net_add_ack','fields':{'result':1}}",
      "{'name':'net_delete_ack','fields':{'result':0}}",
      "{'name':'power_charge_end_ack_echo','fields':{'socket':9,'result':1}}",
      "{'name':'fee_charge_end_ack','fields':{'result':1,'socket':1,'port':0}}",
      "{'name':'event_ack','fields':{'socket':2,'result':1}}",
      "{'name':'param_query_reply','fields':{'socket':2,'result':1,'full_power':100,"
      "'trickle_percent':5,'full_delay_s':7200,'no_load_power':8,'no_load_delay_s':120,"
      "'max_minutes':600,'temp_limit':85,'power_limit':7000,'current_limit':5000,"
      "'button_amount':70000,'anti_pulse':3,'p98':1,'p99':0,'p9a':0,'p9b':0}}",
      "{'name':'card_charge_end','fields':{'socket':1,'fw':1,'temp':-5,'rssi':2,'port':0,"
      "'status':152,'business_no':26,'power':0,'current':2,'energy':2,'duration':31,"
      "'card':'000000000002','card_type':1,'mode':3,'amount':7,'settle_power':5000,"
      "'levels':[31,0,0]}}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
    g_autofree char *json = g_strdelimit (g_strdup (frames[i]), "'", '"');
    json_t *wanted = json_loads (json, 0, NULL);
    json_t *decoded;
    const char *error = NULL;
    guint8 out[BKV_MAX_FRAME];
    gsize n;

    g_assert_nonnull (wanted);
    json_object_set_new (wanted, "gateway_id", json_string ("82241218000382"));
    json_object_set_new (wanted, "msg_id", json_integer (77));
    if (!bkv_from_json (wanted, frame, &error))
      g_error ("%s: %s", json, error);
    n = bkv_encode (frame, out, sizeof out);
    g_assert_cmpuint (n, >, 0);
    decoded = bkv_decode_json (out, n);
    assert_same_json (json, json_object_get (decoded, "fields"),
                      json_object_get (wanted, "fields"));
    g_assert_cmpstr (text (decoded, "name"), ==, text (wanted, "name"));
    g_assert_null (text (decoded, "error"));
    json_decref (decoded);
    json_decref (wanted);
  }
}

/* ---- details ---------------------------------------------------------------------- */

static void test_sniff (void)
{
  g_assert_cmpint (bkv_sniff ((const guint8 *) "", 0), ==, CH_SNIFF_MORE);
  g_assert_cmpint (bkv_sniff ((const guint8 *) "\xFC", 1), ==, CH_SNIFF_MORE);
  g_assert_cmpint (bkv_sniff ((const guint8 *) "\xFC\xFE", 2), ==, CH_SNIFF_YES);
  g_assert_cmpint (bkv_sniff ((const guint8 *) "\xFC\xFF", 2), ==, CH_SNIFF_YES);
  g_assert_cmpint (bkv_sniff ((const guint8 *) "\xFC\xEE", 2), ==, CH_SNIFF_NO);
  g_assert_cmpint (bkv_sniff ((const guint8 *) "DNY", 3), ==, CH_SNIFF_NO);
}

static void test_stream_rules (void)
{
  const char *error = NULL;
  guint8 long_frame[6] = {0xFC, 0xFE, 0x0F, 0xFC, 0, 0};

  g_assert_cmpint (bkv_frame ((const guint8 *) "\xFC", 1, 4096, &error), ==, 0);
  g_assert_cmpint (bkv_frame ((const guint8 *) "\xFC\xFC\xFE", 3, 4096, &error), ==, -1);
  g_assert_cmpstr (error, ==, "garbage");
  g_assert_cmpint (bkv_frame ((const guint8 *) "\x41\xFC\xEE", 3, 4096, &error), ==, -3);
  g_assert_cmpint (bkv_frame ((const guint8 *) "\r\n\xFC", 3, 4096, &error), ==, -2);
  /* 4092 is the longest; a smaller limit of the host also counts. */
  g_assert_cmpint (bkv_frame (long_frame, 6, 4096, &error), ==, 0);
  g_assert_cmpint (bkv_frame (long_frame, 6, 4095, &error), ==, -6);
  g_assert_cmpstr (error, ==, "bad_length");
  long_frame[3] = 0xFD;
  g_assert_cmpint (bkv_frame (long_frame, 6, G_MAXSIZE, &error), ==, -6);
}

static void test_checksum (void)
{
  guint8 bytes[BKV_MAX_FRAME];

  memset (bytes, 0xFF, sizeof bytes);
  for (gsize n = 0; n < sizeof bytes; n += 37)
    g_assert_cmpuint (bkv_checksum (bytes, n), ==, (guint8) (n * 0xFF));
}

static void test_status (void)
{
  static const struct {
    guint8 status, mask;
    ChPortStatus code;
    guint faults;
  } rows[] = {
      {0x00, 0x40, CH_PORT_OFFLINE, 0},
      {0x04, 0x40, CH_PORT_OFFLINE, CH_FAULT_OVER_TEMP},
      {0x80, 0x40, CH_PORT_IDLE, 0},
      {0x90, 0x40, CH_PORT_CHARGING, 0},
      {0x98, 0x40, CH_PORT_CHARGING, 0},
      {0xB0, 0x40, CH_PORT_CHARGING, 0},
      {0x84, 0x40, CH_PORT_FAULT, CH_FAULT_OVER_TEMP},
      {0x82, 0x40, CH_PORT_FAULT, CH_FAULT_OVER_CURRENT},
      {0x81, 0x40, CH_PORT_FAULT, CH_FAULT_OVER_POWER},
      {0x94, 0x40, CH_PORT_CHARGING, CH_FAULT_OVER_TEMP},
      {0xC0, 0x40, CH_PORT_FAULT, CH_FAULT_METER},
      {0xC0, 0x00, CH_PORT_IDLE, 0},
      {0xA0, 0x20, CH_PORT_FAULT, CH_FAULT_METER},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_assert_cmpint (bkv_port_status (rows[i].status, rows[i].mask), ==, rows[i].code);
    g_assert_cmpuint (bkv_fault_bits (rows[i].status, rows[i].mask), ==, rows[i].faults);
  }
  g_assert_cmpint (bkv_signal_dbm (17), ==, -79);
  g_assert_cmpint (bkv_signal_dbm (31), ==, -51);
  g_assert_cmpint (bkv_signal_dbm (99), ==, CH_UNSET);
}

static void test_times (void)
{
  static const guint8 captured[7] = {0x20, 0x25, 0x11, 0x22, 0x22, 0x03, 0x36};
  static const guint8 sample[7] = {0x07, 0xE4, 0x06, 0x08, 0x0E, 0x15, 0x07};
  static const guint8 bad[7] = {0x20, 0x25, 0x02, 0x29, 0x00, 0x00, 0x00};
  static const guint8 digits[7] = {0x20, 0x2A, 0x02, 0x20, 0x00, 0x00, 0x00};
  const gint64 wall = G_GINT64_CONSTANT (1763820216000); /* 2025-11-22 22:03:36 UTC+8 */
  guint8 out[7];
  gint64 ms = 0;

  bkv_time_to_bcd (wall, 480, out);
  g_assert_true (memcmp (out, captured, sizeof out) == 0);
  g_assert_true (bkv_time_from_bcd (captured, 480, &ms));
  g_assert_cmpint (ms, ==, wall);
  g_assert_true (bkv_time_from_dt7 (sample, 480, &ms));
  g_assert_cmpint (ms, ==, G_GINT64_CONSTANT (1591597267000)); /* 2020-06-08 06:21:07Z */
  bkv_time_to_dt7 (ms, 480, out);
  g_assert_true (memcmp (out, sample, sizeof out) == 0);
  g_assert_false (bkv_time_from_bcd (bad, 480, &ms));
  g_assert_false (bkv_time_from_bcd (digits, 480, &ms));
  /* Leap day and both ends of a year. */
  for (gint64 day = 0; day < 40000; day += 13) {
    bkv_time_to_bcd (day * 86400000 + 3723000, -300, out);
    if (day == 0)
      continue; /* the day before 1970 is cut off */
    g_assert_true (bkv_time_from_bcd (out, -300, &ms));
    g_assert_cmpint (ms, ==, day * 86400000 + 3723000);
  }
}

static void test_ids (void)
{
  guint8 gateway[7];
  char id[BKV_GATEWAY_TEXT_SIZE], order[BKV_WIRE_ORDER_SIZE];

  g_assert_true (bkv_gateway_parse ("82241218000382", gateway));
  bkv_gateway_text (gateway, id);
  g_assert_cmpstr (id, ==, "82241218000382");
  g_assert_false (bkv_gateway_parse ("8224121800038", gateway));
  g_assert_false (bkv_gateway_parse ("822412180003820", gateway));
  g_assert_false (bkv_gateway_parse ("8224121800038X", gateway));
  g_assert_false (bkv_gateway_parse (NULL, gateway));
  bkv_wire_order (1, 0, 9, order);
  g_assert_cmpstr (order, ==, "01000009");
  for (guint kind = 1; kind < BKV_KIND_N; kind++)
    g_assert_cmpint (bkv_kind_parse (bkv_kind_name ((BkvKind) kind)), ==, kind);
  g_assert_cmpint (bkv_kind_parse ("none"), ==, BKV_UNKNOWN);
}

static void test_from_json_refuses (void)
{
  static const char *const bad[] = {
      "{}",
      "{\"name\":\"ota_ack\",\"gateway_id\":\"82241218000382\"}",
      "{\"name\":\"control\",\"gateway_id\":\"xx\"}",
      "{\"name\":\"control\",\"gateway_id\":\"82241218000382\",\"msg_id\":-1}",
      "{\"name\":\"control\",\"gateway_id\":\"82241218000382\",\"fields\":{\"x\":1}}",
      "{\"name\":\"control\",\"gateway_id\":\"82241218000382\",\"fields\":{\"socket\":"
      "256}}",
      "{\"name\":\"control\",\"gateway_id\":\"82241218000382\",\"fields\":{\"socket\":"
      "\"1\"}}",
      "{\"name\":\"net_add\",\"gateway_id\":\"82241218000382\",\"fields\":{\"mac\":"
      "\"12\"}}",
      "{\"name\":\"ota_start\",\"gateway_id\":\"82241218000382\","
      "\"fields\":{\"file\":\"12345678901234\"}}",
      "{\"name\":\"ota_start\",\"gateway_id\":\"82241218000382\","
      "\"fields\":{\"ftp_ip\":\"1.2.3.256\"}}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
    json_t *json = json_loads (bad[i], 0, NULL);
    const char *error = NULL;

    g_assert_nonnull (json);
    g_assert_false (bkv_from_json (json, frame, &error));
    g_assert_nonnull (error);
    json_decref (json);
  }
}

/* What does not fit the bounds of the structs is kept as unknown, not lost silently. */
static void test_bounds (void)
{
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  guint8 payload[BKV_MAX_FRAME], out[BKV_MAX_FRAME];
  static const guint8 gateway[7] = {0x82, 0x24, 0x12, 0x18, 0x00, 0x03, 0x82};
  gsize n = 0;
  json_t *json;

  bkv_init (frame, BKV_STATUS_REPORT, gateway, 0);
  memcpy (payload, "\x04\x01\x01\x10\x17", 5);
  n = 5;
  for (guint i = 0; i < BKV_MAX_SOCKETS + 5; i++, n += 7)
    memcpy (payload + n, "\x06\x01\x94\x03\x01\x4A\x07", 7);
  n = bkv_wrap (frame, payload, n, out, sizeof out);
  g_assert_cmpuint (n, >, 0);
  g_assert_true (bkv_decode (out, n, frame));
  g_assert_cmpint (frame->error, ==, BKV_OK);
  g_assert_cmpuint (frame->items.n_sockets, ==, BKV_MAX_SOCKETS);
  g_assert_cmpuint (frame->unknown_tags, ==, 5);
  json = bkv_decode_json (out, n);
  g_assert_cmpuint (json_array_size (json_object_get (json, "unknown_tags")), ==, 5);
  json_decref (json);
}

int main (int argc, char **argv)
{
  g_autofree char *path = NULL;
  json_error_t error;
  int status;

  g_test_init (&argc, &argv, NULL);
  path = g_build_filename (g_getenv ("CHARGEHOST_TEST_SOURCE"), "plugins", "proto-bkv",
                           "tests", "vectors.json", NULL);
  vectors = json_load_file (path, 0, &error);
  if (vectors == NULL)
    g_error ("%s: %s", path, error.text);
  g_test_add_func ("/bkv/wire/decode", test_decode);
  g_test_add_func ("/bkv/wire/bytewise", test_bytewise);
  g_test_add_func ("/bkv/wire/segments", test_segments);
  g_test_add_func ("/bkv/wire/one-piece", test_one_piece);
  g_test_add_func ("/bkv/wire/encode", test_encode);
  g_test_add_func ("/bkv/wire/tlvs", test_tlvs);
  g_test_add_func ("/bkv/wire/round-trip", test_round_trip);
  g_test_add_func ("/bkv/wire/sniff", test_sniff);
  g_test_add_func ("/bkv/wire/stream-rules", test_stream_rules);
  g_test_add_func ("/bkv/wire/checksum", test_checksum);
  g_test_add_func ("/bkv/wire/status", test_status);
  g_test_add_func ("/bkv/wire/times", test_times);
  g_test_add_func ("/bkv/wire/ids", test_ids);
  g_test_add_func ("/bkv/wire/from-json-refuses", test_from_json_refuses);
  g_test_add_func ("/bkv/wire/bounds", test_bounds);
  status = g_test_run ();
  json_decref (vectors);
  return status;
}
