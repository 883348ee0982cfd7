/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods of org.chargehost.Device1: the same requests, with the same limits, as REST's.
 */
#include "core/core-admin.h"
#include "core/device/device.h"
#include "dbus/dbus-private.h"
#include "http/http.h"
#include <chargehost/conn.h>
#include <chargehost/json.h>

#include <string.h>

#define WAIT_MAX_MS 10000

static guint wait_of (const json_t *options)
{
  return (guint) ch_json_get_int (options, "wait_ms", 0);
}

static void get (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  g_autoptr (json_t) data = ch_core_device_json (dbus->self, device->id);
  if (!ch_dbus_caller_is_trusted (dbus, invocation))
    ch_dbus_hide_orders (data);
  ch_dbus_return_json (dbus->self, data, NULL, invocation);
}

static void get_params (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ch_core_device_params (dbus->self, device->id, ch_dbus_return_json, invocation);
}

/* ---- charges ---- */

static const ChDbusOption START_OPTIONS[] = {
    {"order_no", CH_DBUS_TEXT, 1, 32},
    {"duration_minutes", CH_DBUS_INT, 1, 525600},
    {"energy_wh", CH_DBUS_INT, 10, 1000000},
    {"power", CH_DBUS_INT, 1, 65535},
    {"amount", CH_DBUS_INT, 1, 10000000},
    {"price_per_kwh", CH_DBUS_INT, 0, 100000},
    {"service_fee", CH_DBUS_INT, 0, 1000},
    {"business_no", CH_DBUS_INT, 1, 65535},
    {"max_power_w", CH_DBUS_INT, 1, 1000000},
    {"socket_uid", CH_DBUS_TEXT, 1, 64},
    {"card_no", CH_DBUS_TEXT, 1, 255},
    {"metadata", CH_DBUS_JSON, 0, 1024},
    {"wait_ms", CH_DBUS_INT, 0, WAIT_MAX_MS},
    {NULL},
};

static void start (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ChStartRequest request = CH_START_REQUEST_INIT;
  ChOrigin origin = {.by = "dbus"};
  g_autoptr (GVariant) given = NULL;
  gint socket_no, port_no;
  guint mode;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(iiu@a{sv})",
                 &socket_no, &port_no, &mode, &given);
  g_autoptr (json_t) options = ch_dbus_read_options (invocation, given, START_OPTIONS);
  if (options == NULL)
    return;
  request.device = device->id;
  request.socket_no = socket_no < 0 ? CH_UNSET : socket_no;
  request.port_no = port_no;
  request.charge_mode = mode;
  ch_http_read_start (&request, options);
  request.business_no = ch_json_get_int (options, "business_no", CH_UNSET);
  request.source = CH_SOURCE_ADMIN;
  ch_core_start_charge (dbus->self, &request, &origin, wait_of (options),
                        ch_dbus_return_json, invocation);
}

static const ChDbusOption STOP_OPTIONS[] = {
    {"order_no", CH_DBUS_TEXT, 1, 32},
    {"socket_uid", CH_DBUS_TEXT, 1, 64},
    {"reason", CH_DBUS_TEXT, 1, 128},
    {"wait_ms", CH_DBUS_INT, 0, WAIT_MAX_MS},
    {NULL},
};

static void stop (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) given = NULL;
  ChOrigin origin = {.by = "dbus"};
  gint socket_no, port_no;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(ii@a{sv})",
                 &socket_no, &port_no, &given);
  g_autoptr (json_t) options = ch_dbus_read_options (invocation, given, STOP_OPTIONS);
  if (options == NULL)
    return;
  ChStopRequest request = {.device = device->id,
                           .socket_no = socket_no < 0 ? CH_UNSET : socket_no,
                           .port_no = port_no < 0 ? CH_UNSET : port_no,
                           .socket_uid = ch_json_get_string (options, "socket_uid", NULL),
                           .order_no = ch_json_get_string (options, "order_no", NULL),
                           .reason = ch_json_get_string (options, "reason", NULL)};
  ch_core_stop_charge (dbus->self, &request, &origin, wait_of (options),
                       ch_dbus_return_json, invocation);
}

/* ---- commands ---- */

static const ChDbusOption REBOOT_OPTIONS[] = {
    {"force", CH_DBUS_BOOL, 0, 0},
    {"target", CH_DBUS_TEXT, 1, 16},
    {"mode", CH_DBUS_TEXT, 1, 8},
    {"socket_no", CH_DBUS_INT, 0, 250},
    {"wait_ms", CH_DBUS_INT, 0, WAIT_MAX_MS},
    {NULL},
};

static void reboot (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  static const char *const targets[] = {"gateway", "socket", "module", NULL};
  static const char *const modes[] = {"soft", "hard", NULL};
  ChOrigin origin = {.by = "dbus"};
  g_autoptr (GVariant) given = NULL;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(@a{sv})",
                 &given);
  g_autoptr (json_t) options = ch_dbus_read_options (invocation, given, REBOOT_OPTIONS);
  if (options == NULL)
    return;
  const char *target = ch_json_get_string (options, "target", "gateway");
  const char *mode = ch_json_get_string (options, "mode", NULL);
  if (!g_strv_contains (targets, target)) {
    ch_dbus_return_invalid (invocation, "target must be gateway, socket or module");
    return;
  }
  if (mode != NULL && !g_strv_contains (modes, mode)) {
    ch_dbus_return_invalid (invocation, "mode must be soft or hard");
    return;
  }
  g_autoptr (json_t) payload = json_object ();
  json_object_set_new (payload, "target", json_string (target));
  if (mode != NULL)
    json_object_set_new (payload, "mode", json_string (mode));
  ch_core_send (dbus->self, device->id, CH_COMMAND_REBOOT,
                (gint) ch_json_get_int (options, "socket_no", 0), -1, payload,
                ch_json_get_bool (options, "force", FALSE), &origin, wait_of (options),
                ch_dbus_return_json, invocation);
}

/* The type of a command; a name that the host does not know is the driver's own. */
static gboolean read_type (GDBusMethodInvocation *invocation, const char *name,
                           json_t *payload, ChCommandType *type)
{
  gsize size = strlen (name);
  *type = ch_command_type_parse (name);
  if (size < 1 || size > 32) {
    ch_dbus_return_invalid (invocation, "the type of a command has 1 to 32 bytes");
    return FALSE;
  }
  if (*type == CH_COMMAND_START_CHARGE || *type == CH_COMMAND_STOP_CHARGE
      || *type == CH_COMMAND_CANCEL_SESSION) {
    ch_dbus_return_invalid (invocation, "charges have methods of their own");
    return FALSE;
  }
  if (*type == 0) {
    *type = CH_COMMAND_CUSTOM;
    json_object_set_new (payload, "name", json_string (name));
  }
  return TRUE;
}

static void send (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  const char *name, *text;
  gint socket_no, port_no;
  guint wait_ms;
  ChCommandType type;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&sii&su)", &name,
                 &socket_no, &port_no, &text, &wait_ms);
  g_autoptr (json_t) payload
      = *text != '\0' ? ch_json_parse (text, strlen (text), NULL) : json_object ();
  if (!json_is_object (payload)) {
    ch_dbus_return_invalid (invocation, "the payload is no JSON object");
    return;
  }
  if (socket_no < 0 || socket_no > 250 || port_no < -1 || port_no > 15) {
    ch_dbus_return_invalid (invocation, "socket_no must be 0 to 250, port_no -1 to 15");
    return;
  }
  if (read_type (invocation, name, payload, &type))
    ch_core_send (dbus->self, device->id, type, socket_no, port_no, payload, FALSE,
                  &origin, MIN (wait_ms, WAIT_MAX_MS), ch_dbus_return_json, invocation);
}

static void kick (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  if (device->conn == 0) {
    g_dbus_method_invocation_return_dbus_error (invocation,
                                                "org.chargehost.Error.DeviceOffline",
                                                "the device is not connected here");
    return;
  }
  ch_conn_close (dbus->self, device->conn, CH_CLOSE_KICK);
  ch_dbus_audit (dbus, invocation, device->id);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

void ch_dbus_device_call (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  static const struct {
    const char *method;
    void (*run) (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation);
    gboolean starts; /* refused while the daemon starts or drains */
  } calls[] = {
      {"Get", get, FALSE},
      {"GetParams", get_params, FALSE},
      {"StartCharge", start, TRUE},
      {"StopCharge", stop, FALSE},
      {"StopPort", ch_dbus_stop_port, FALSE},
      {"Reboot", reboot, TRUE},
      {"Send", send, TRUE},
      {"Kick", kick, FALSE},
      {"Trace", ch_dbus_trace, FALSE},
      {"Change", ch_dbus_change_device, FALSE},
      {"Retire", ch_dbus_retire_device, FALSE},
  };
  g_autofree char *id = data;
  ChDevice *device = ch_device_find (dbus->services->core, id);
  const char *method = g_dbus_method_invocation_get_method_name (invocation);

  if (device == NULL) {
    g_dbus_method_invocation_return_dbus_error (
        invocation, "org.chargehost.Error.DeviceNotFound", "the device is gone");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++) {
    if (!g_str_equal (calls[i].method, method))
      continue;
    if (!calls[i].starts || ch_dbus_may_change (dbus, invocation))
      calls[i].run (dbus, device, invocation);
    return;
  }
}
