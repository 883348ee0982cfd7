/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other paths to the same handlers (gateway 7.1), each group switchable. */
#include "http/routes/api.h"

#define READ(route_path, table, text, func)                                              \
  {                                                                                      \
    .method = "GET", .path = route_path, .auth = CH_AUTH_READ, .params = table,          \
    .summary = text, .handler = func                                                     \
  }
#define WRITE(route_path, how, table, text, func)                                        \
  {                                                                                      \
    .method = "POST", .path = route_path, .auth = CH_AUTH_THIRD, .scope = "control",     \
    .flags = how, .params = table, .summary = text, .handler = func                      \
  }

const ChRoute ch_http_seed_routes[] = {
    READ ("/devices/{id}", ch_http_device_params, "A device", ch_http_get_device),
    READ ("/devices/{id}/ports", ch_http_device_params, "Its ports", ch_http_get_ports),
    READ ("/devices/{id}/online", ch_http_device_params, "Whether it is on line",
          ch_http_get_online),
    READ ("/orders/{order_no}", ch_http_order_params, "An order", ch_http_get_order),
    WRITE ("/devices/{id}/start_charge", CH_ROUTE_MUTATES, ch_http_start_params,
           "Start a charge", ch_http_start_charge),
    WRITE ("/devices/{id}/stop_charge", CH_ROUTE_NO_LIMIT, ch_http_stop_params,
           "Stop a charge", ch_http_stop_charge),
    WRITE ("/devices/{id}/reboot", CH_ROUTE_MUTATES, ch_http_reboot_params, "Restart it",
           ch_http_reboot),
    {.method = NULL},
};

const ChRoute ch_http_legacy_routes[] = {
    READ ("/api/devices", ch_http_list_devices_params, "Devices", ch_http_list_devices),
    READ ("/api/devices/{id}", ch_http_device_params, "A device", ch_http_get_device),
    READ ("/api/devices/{id}/ports", ch_http_device_params, "Its ports",
          ch_http_get_ports),
    READ ("/api/devices/{id}/orders", ch_http_device_orders_params, "Orders of a device",
          ch_http_list_device_orders),
    READ ("/api/sessions/{id}", ch_http_device_params, "Its connection",
          ch_http_get_session),
    READ ("/api/orders/{order_no}", ch_http_order_params, "An order", ch_http_get_order),
    {.method = NULL},
};
