/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core as services, REST and D-Bus use it. There is one way to start a charge,
 * whoever asks. Everything that changes something is asynchronous.
 */
#pragma once

#include <chargehost/bus.h>
#include <chargehost/command.h>
#include <chargehost/facts.h>

G_BEGIN_DECLS

/* States of an order (gateway 1.5.4). */
typedef enum {
  CH_ORDER_PENDING = 0,
  CH_ORDER_CONFIRMED = 1,
  CH_ORDER_CHARGING = 2,
  CH_ORDER_COMPLETED = 3,
  CH_ORDER_TIMEOUT = 4,
  CH_ORDER_CANCELLED = 5,
  CH_ORDER_FAILED = 6,
  CH_ORDER_STOPPED = 7,
  CH_ORDER_CANCELLING = 8,
  CH_ORDER_STOPPING = 9,
  CH_ORDER_INTERRUPTED = 10,
  CH_ORDER_N = 11,
} ChOrderStatus;
const char *ch_order_status_name (ChOrderStatus status);
gboolean ch_order_status_parse (const char *text,
                                ChOrderStatus *status); /* name or number */
gboolean ch_order_status_is_active (ChOrderStatus status);
const char *ch_port_status_name (ChPortStatus status);

typedef enum {
  CH_PRESENCE_OFFLINE = 0,
  CH_PRESENCE_UNSTABLE,
  CH_PRESENCE_ONLINE
} ChPresence;
const char *ch_presence_name (ChPresence presence);

/* Who asks. */
typedef struct {
  const char *by;         /* api, admin, dbus, card, rule */
  const char *key_id;     /* (nullable) */
  const char *request_id; /* (nullable) */
} ChOrigin;

typedef enum {
  CH_SOURCE_API = 0,
  CH_SOURCE_CARD,
  CH_SOURCE_LOCAL,
  CH_SOURCE_ADMIN
} ChOrderSource;

/**
 * ChStartRequest: fields of gateway 7.5 `start_charge`; integers CH_UNSET when absent.
 */
typedef struct {
  const char *device;
  const char *socket_uid;
  gint64 socket_no;
  gint64 port_no; /* −1 only when the protocol has auto_port */
  gint64 charge_mode;
  gint64 amount_cent;
  gint64 duration_minutes;
  gint64 energy_wh;
  gint64 power_w;
  gint64 price_per_kwh_cent;
  gint64 service_fee_permille;
  const char *order_no; /* (nullable): generated */
  gint64 business_no;
  gint64 max_power_w;
  const char *card_no;
  const json_t *metadata;
  ChOrderSource source;
} ChStartRequest;
#define CH_START_REQUEST_INIT                                                            \
  {                                                                                      \
    .socket_no = CH_UNSET, .port_no = CH_UNSET, .charge_mode = CH_UNSET,                 \
    .amount_cent = CH_UNSET, .duration_minutes = CH_UNSET, .energy_wh = CH_UNSET,        \
    .power_w = CH_UNSET, .price_per_kwh_cent = CH_UNSET,                                 \
    .service_fee_permille = CH_UNSET, .business_no = CH_UNSET, .max_power_w = CH_UNSET   \
  }

/**
 * ChCoreDone:
 * @self: the caller
 * @data: (nullable): answer as in gateway 7.5, valid during the call
 * @error: (nullable): a %CH_CORE_ERROR; @data may then hold its data
 * @user_data: as given
 */
typedef void (*ChCoreDone) (ChPlugin *self, const json_t *data, const GError *error,
                            gpointer user_data);

/**
 * ch_core_start_charge:
 * @self: the caller
 * @request: copied
 * @origin: copied
 * @wait_ms: 0, or hold the answer until the start command is final, at most 10000
 *
 * The one way to start a charge.
 */
void ch_core_start_charge (ChPlugin *self, const ChStartRequest *request,
                           const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                           gpointer user_data);

typedef struct {
  const char *device; /* with socket and port, or … */
  gint64 socket_no;
  const char *socket_uid;
  gint64 port_no;
  const char *order_no; /* … the order */
  const char *reason;
} ChStopRequest;
void ch_core_stop_charge (ChPlugin *self, const ChStopRequest *request,
                          const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                          gpointer user_data);
void ch_core_cancel_order (ChPlugin *self, const char *order_no, const char *reason,
                           const ChOrigin *origin, ChCoreDone done, gpointer user_data);

/**
 * ChForceRequest:
 * @settle: completes the order with the figures given (those known where CH_UNSET);
 *   else it fails with those known
 * @end_reason: a ChEndReason or CH_UNSET
 * @comment: why; required, at most 255 bytes; stands in the order's history
 */
typedef struct {
  const char *order_no;
  gboolean settle;
  gint64 energy_wh;
  gint64 duration_s;
  gint64 end_reason;
  const char *comment;
} ChForceRequest;

/**
 * ch_core_force_order:
 *
 * Closes an active order by hand (gateway 7.7). Final: nothing moves it afterwards. A
 * device that may still charge is told to stop. The answer is the order (gateway 7.4) and
 * `old_status`.
 */
void ch_core_force_order (ChPlugin *self, const ChForceRequest *request,
                          const ChOrigin *origin, ChCoreDone done, gpointer user_data);

/**
 * ch_core_send:
 * @type: any command but start, stop and cancel of an order
 * @payload: (nullable) (transfer none): payload
 * @force: reboot also with active orders
 *
 * Queues a command; the answer is that of gateway 4.11.
 */
void ch_core_send (ChPlugin *self, const char *device, ChCommandType type, gint socket_no,
                   gint port_no, const json_t *payload, gboolean force,
                   const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                   gpointer user_data);

/* Reading. Answers are the objects of gateway 7.4. */
void ch_core_get_order (ChPlugin *self, const char *order_no, ChCoreDone done,
                        gpointer user_data);
void ch_core_get_command (ChPlugin *self, const char *command_id, ChCoreDone done,
                          gpointer user_data);

typedef struct {
  const char *device; /* (nullable) */
  gint64 status;      /* ChOrderStatus or CH_UNSET */
  gint64 from_ms;     /* wall clock or CH_UNSET */
  gint64 to_ms;
  gint64 after; /* keyset: id or CH_UNSET */
  gint64 limit;
  gint64 offset;
} ChOrderQuery;
void ch_core_list_orders (ChPlugin *self, const ChOrderQuery *query, ChCoreDone done,
                          gpointer user_data);

/**
 * ch_core_read_device:
 * @view: which of the objects below
 *
 * Asks the instance that holds the device, when there are several; the functions below
 * know of such a device only what is told to everybody.
 */
typedef enum {
  CH_VIEW_DEVICE = 0,
  CH_VIEW_PORTS,
  CH_VIEW_SOCKETS,
  CH_VIEW_SESSION,
} ChCoreView;
void ch_core_read_device (ChPlugin *self, const char *device, ChCoreView view,
                          ChCoreDone done, gpointer user_data);
/* Whether another instance may hold the device, so that it is better asked; @device
 * NULL: any device. */
gboolean ch_core_may_be_elsewhere (ChPlugin *self, const char *device);
/* Closes its connection, wherever that is. */
void ch_core_kick_device (ChPlugin *self, const char *device, const ChOrigin *origin,
                          ChCoreDone done, gpointer user_data);

/* From memory: every known device is in memory. Returns: (transfer full) (nullable) */
json_t *ch_core_device_json (ChPlugin *self, const char *device);
json_t *ch_core_ports_json (ChPlugin *self, const char *device);
json_t *ch_core_sockets_json (ChPlugin *self, const char *device);
json_t *ch_core_session_json (ChPlugin *self, const char *device);
json_t *ch_core_stats_json (ChPlugin *self);
json_t *ch_core_definitions_json (ChPlugin *self);

typedef struct {
  const char *q; /* part of the id */
  const char *protocol;
  gint presence; /* ChPresence or −1 */
  const char *tag;
  const char *after; /* id after which to begin, in order of ids */
  gint64 limit;
  gint64 offset;
} ChDeviceQuery;
/* As this instance knows them. Returns: (transfer full): {"devices":[…],"total":n} */
json_t *ch_core_list_devices (ChPlugin *self, const ChDeviceQuery *query);
/**
 * ch_core_read_devices:
 *
 * As ch_core_list_devices(), but devices that other instances hold are shown as those
 * know them; what does not answer within 2 s is shown as this instance knows it.
 */
void ch_core_read_devices (ChPlugin *self, const ChDeviceQuery *query, ChCoreDone done,
                           gpointer user_data);

/* Returns: whether the device is known; presence and whether it is connected here. */
gboolean ch_core_device_presence (ChPlugin *self, const char *device,
                                  ChPresence *presence, gboolean *connected);

/* ---- start guards ----------------------------------------------------------------- */

/**
 * ChStartGuard:
 *
 * May this charge start? In memory and at once: all guards together have 20 ms.
 *
 * Returns: %TRUE allows; %FALSE refuses with a %CH_CORE_ERROR
 */
typedef gboolean (*ChStartGuard) (ChPlugin *self, const ChStartRequest *request,
                                  GError **error);
void ch_core_add_start_guard (ChPlugin *self, ChStartGuard guard);

G_END_DECLS
