/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every kind of field as JSON and as a{sv}: present, absent, at its limits. */
#include "bus/bus.h"
#include <chargehost/events.h>

#include <math.h>
#include <string.h>

typedef struct {
  ChEvent event;
  gboolean flag;
  gint small;
  gint64 large;
  double real;
  char text[8];
  gint64 when;
  gint64 milli;
} Every;

static const ChField every_fields[] = {
    CH_FIELD (Every, flag, CH_FIELD_BOOL, NULL),
    CH_FIELD (Every, small, CH_FIELD_INT, NULL),
    CH_FIELD (Every, large, CH_FIELD_INT64, "Wh"),
    CH_FIELD (Every, real, CH_FIELD_DOUBLE, NULL),
    CH_FIELD (Every, text, CH_FIELD_STRING, NULL),
    CH_FIELD (Every, when, CH_FIELD_TIME, NULL),
    CH_FIELD (Every, milli, CH_FIELD_MILLI, "W"),
    {.name = "json", .kind = CH_FIELD_JSON},
    {.name = NULL},
};

static const ChTopic every
    = {sizeof (ChTopic), "every.kind",        sizeof (Every), every_fields,
       CH_LANE_STATE,    CH_TOPIC_FLAGS_NONE, "every kind"};

static const Every absent = {
    .event = {.socket_no = -1, .port_no = -1},
    .small = G_MININT32,
    .large = CH_UNSET,
    .real = NAN,
    .when = CH_UNSET,
    .milli = CH_UNSET,
};

static char *json_text (const ChTopic *topic, const ChEvent *event)
{
  json_t *object = ch_event_to_json (topic, event);
  char *text
      = json_dumps (object, JSON_COMPACT | JSON_REAL_PRECISION (15) | JSON_SORT_KEYS);
  json_decref (object);
  return text;
}

static ChEvent *assert_forth (const Every *value, const char *blob, const char *json,
                              const char *variant)
{
  gsize size = blob != NULL ? strlen (blob) : 0;
  g_autofree Every *copy = g_malloc0 (sizeof *copy + size);
  *copy = *value;
  if (size > 0)
    memcpy (copy + 1, blob, size);
  copy->event.blob_size = (guint32) size;

  char *text = json_text (&every, &copy->event);
  g_assert_cmpstr (text, ==, json);
  free (text);
  g_autoptr (GVariant) made
      = g_variant_ref_sink (ch_event_to_variant (&every, &copy->event));
  g_assert_true (g_variant_is_of_type (made, G_VARIANT_TYPE_VARDICT));
  g_autofree char *printed = g_variant_print (made, TRUE);
  g_assert_cmpstr (printed, ==, variant);
  return &g_steal_pointer (&copy)->event;
}

/* And back: the same text again. */
static void assert_both (const Every *value, const char *blob, const char *json,
                         const char *variant)
{
  g_autofree ChEvent *event = assert_forth (value, blob, json, variant);
  g_autoptr (GError) error = NULL;
  json_t *object = ch_event_to_json (&every, event);
  g_autofree ChEvent *back = ch_event_from_json (&every, object, &error);
  g_assert_no_error (error);
  json_decref (object);
  char *text = json_text (&every, back);
  g_assert_cmpstr (text, ==, json);
  free (text);
}

static void test_absent (void)
{
  assert_both (&absent, NULL, "{\"flag\":false}", "{'flag': <false>}");
}

static void test_present (void)
{
  Every value = {
      .event = {.time_ms = 1704528000123, .socket_no = 0, .port_no = 2, .device = "d 1"},
      .flag = 5,
      .small = -7,
      .large = G_MAXINT64,
      .real = 0.1,
      .text = "é",
      .when = 1704528000000,
      .milli = 1234,
  };
  assert_both (
      &value, "{\"a\":[1,2]}",
      "{\"device_id\":\"d 1\",\"flag\":true,\"json\":{\"a\":[1,2]},"
      "\"large\":9223372036854775807,\"milli\":1.234,\"port_no\":2,\"real\":0.1,"
      "\"small\":-7,\"socket_no\":0,\"text\":\"é\","
      "\"time\":\"2024-01-06T08:00:00.123Z\",\"when\":\"2024-01-06T08:00:00.000Z\"}",
      "{'device_id': <'d 1'>, 'socket_no': <0>, 'port_no': <2>, "
      "'time': <'2024-01-06T08:00:00.123Z'>, 'flag': <true>, 'small': <-7>, "
      "'large': <int64 9223372036854775807>, 'real': <0.10000000000000001>, "
      "'text': <'é'>, 'when': <'2024-01-06T08:00:00.000Z'>, "
      "'milli': <1.234>, 'json': <'{\"a\":[1,2]}'>}");
}

/* Thousandths: no more than three decimals, whatever the size. */
static void test_milli (void)
{
  static const struct {
    gint64 milli;
    const char *json;
  } cases[] = {
      {0, "0"},        {1, "0.001"},        {-1, "-0.001"},
      {100, "0.1"},    {999, "0.999"},      {1000, "1"},
      {-25000, "-25"}, {230100, "230.1"},   {123456789012, "123456789.012"},
      {300, "0.3"},    {2200700, "2200.7"}, {-999999999999, "-999999999.999"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Every value = absent;
    value.milli = cases[i].milli;
    g_autofree char *json
        = g_strdup_printf ("{\"flag\":false,\"milli\":%s}", cases[i].json);
    char *text = json_text (&every, &value.event);
    g_assert_cmpstr (text, ==, json);
    free (text);
  }
}

/* Texts that fill their field, and bytes that are not UTF-8, stay inside and valid. */
static void test_text (void)
{
  Every value = absent;
  memcpy (value.text, "12345678", 8);
  g_free (assert_forth (&value, NULL, "{\"flag\":false,\"text\":\"12345678\"}",
                        "{'flag': <false>, 'text': <'12345678'>}"));
  memcpy (value.text, "a\xff\xc3\0", 4);
  g_free (assert_forth (&value, NULL,
                        "{\"flag\":false,\"text\":\"a\xef\xbf\xbd\xef\xbf\xbd\"}",
                        "{'flag': <false>, 'text': <'a\xef\xbf\xbd\xef\xbf\xbd'>}"));
}

static void test_double (void)
{
  Every value = absent;
  value.real = INFINITY;
  assert_both (&value, NULL, "{\"flag\":false}", "{'flag': <false>}");
  value.real = -0.5;
  assert_both (&value, NULL, "{\"flag\":false,\"real\":-0.5}",
               "{'flag': <false>, 'real': <-0.5>}");
}

/* A blob that is no JSON, or too deep, is left out of JSON and stays text in a{sv}. */
static void test_bad_blob (void)
{
  assert_both (&absent, "{\"a\":", "{\"flag\":false}",
               "{'flag': <false>, 'json': <'{\"a\":'>}");
  assert_both (&absent, "7", "{\"flag\":false,\"json\":7}",
               "{'flag': <false>, 'json': <'7'>}");

  g_autofree char *deep = g_strnfill (100000, '[');
  gsize size = strlen (deep);
  g_autofree Every *value = g_malloc0 (sizeof *value + size);
  *value = absent;
  memcpy (value + 1, deep, size);
  value->event.blob_size = (guint32) size;
  char *text = json_text (&every, &value->event);
  g_assert_cmpstr (text, ==, "{\"flag\":false}");
  free (text);
}

/* What others wrote: refused with the member's name, never half taken. */
static void test_hostile (void)
{
  static const struct {
    const char *json;
    const char *wrong; /* NULL: taken */
  } cases[] = {
      {"[]", "the object"},
      {"{}", NULL},
      {"{\"unknown\":{},\"small\":null}", NULL},
      {"{\"device_id\":7}", "device_id"},
      {"{\"socket_no\":-1}", "socket_no"},
      {"{\"port_no\":40000}", "port_no"},
      {"{\"time\":\"yesterday\"}", "time"},
      {"{\"flag\":1}", "flag"},
      {"{\"small\":2147483648}", "small"},
      {"{\"small\":1.5}", "small"},
      {"{\"large\":\"1\"}", "large"},
      {"{\"real\":true}", "real"},
      {"{\"text\":\"12345678\"}", "text"},
      {"{\"text\":\"1234567\"}", NULL},
      {"{\"when\":1704528000}", "when"},
      {"{\"milli\":1e300}", "milli"},
      {"{\"milli\":9223372036854775807}", "milli"},
      {"{\"milli\":-0.0005}", NULL},
      {"{\"json\":[[[]]]}", NULL},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    json_t *object = json_loads (cases[i].json, 0, NULL);
    g_autofree ChEvent *event = ch_event_from_json (&every, object, &error);
    json_decref (object);
    g_autofree char *wanted
        = cases[i].wrong ? g_strdup_printf ("every.kind: %s is wrong", cases[i].wrong)
                         : NULL;
    g_assert_cmpstr (error != NULL ? error->message : NULL, ==, wanted);
    g_assert_true ((event == NULL) == (wanted != NULL));
  }
  g_autofree char *text
      = g_strdup_printf ("{\"device_id\":\"%0*d\"}", CH_DEVICE_ID_SIZE, 0);
  json_t *object = json_loads (text, 0, NULL);
  g_assert_null (ch_event_from_json (&every, object, NULL));
  json_decref (object);
}

/* A struct of the SDK, with the table that its publisher writes. */
static void test_sdk_event (void)
{
  static const ChField fields[] = {
      CH_FIELD (ChOrderUpdatedEvent, order_no, CH_FIELD_STRING, NULL),
      CH_FIELD (ChOrderUpdatedEvent, energy_wh, CH_FIELD_INT64, "Wh"),
      CH_FIELD (ChOrderUpdatedEvent, power, CH_FIELD_MILLI, "W"),
      {.name = NULL},
  };
  static const ChTopic topic
      = {sizeof (ChTopic), "order.updated", sizeof (ChOrderUpdatedEvent),
         fields,           CH_LANE_SAMPLE,  CH_TOPIC_FLAGS_NONE,
         "progress"};
  ChOrderUpdatedEvent event
      = {.event = {.port_no = 1}, .order_no = "O1", .energy_wh = 12, .power = 2200500};
  char *text = json_text (&topic, &event.event);
  g_assert_cmpstr (text, ==,
                   "{\"energy_wh\":12,\"order_no\":\"O1\",\"port_no\":1,\"power\":2200.5,"
                   "\"socket_no\":0}");
  free (text);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/reflect/absent", test_absent);
  g_test_add_func ("/reflect/present", test_present);
  g_test_add_func ("/reflect/milli", test_milli);
  g_test_add_func ("/reflect/text", test_text);
  g_test_add_func ("/reflect/double", test_double);
  g_test_add_func ("/reflect/bad-blob", test_bad_blob);
  g_test_add_func ("/reflect/hostile", test_hostile);
  g_test_add_func ("/reflect/sdk-event", test_sdk_event);
  return g_test_run ();
}
