/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other paths to the same handlers (gateway 7.1), each group switchable. */
#include "http/routes/api.h"

const ChRoute ch_http_seed_routes[] = {
    CH_HTTP_GET ("/devices/{id}", CH_AUTH_READ, ch_http_device_params, "A device",
                 ch_http_get_device),
    CH_HTTP_GET ("/devices/{id}/ports", CH_AUTH_READ, ch_http_device_params, "Its ports",
                 ch_http_get_ports),
    CH_HTTP_GET ("/devices/{id}/online", CH_AUTH_READ, ch_http_device_params,
                 "Whether it is on line", ch_http_get_online),
    CH_HTTP_GET ("/orders/{order_no}", CH_AUTH_READ, ch_http_order_params, "An order",
                 ch_http_get_order),
    CH_HTTP_CONTROL ("POST", "/devices/{id}/start_charge", CH_ROUTE_MUTATES,
                     ch_http_start_params, "Start a charge", ch_http_start_charge),
    CH_HTTP_CONTROL ("POST", "/devices/{id}/stop_charge", CH_ROUTE_NO_LIMIT,
                     ch_http_stop_params, "Stop a charge", ch_http_stop_charge),
    CH_HTTP_CONTROL ("POST", "/devices/{id}/reboot", CH_ROUTE_MUTATES,
                     ch_http_reboot_params, "Restart it", ch_http_reboot),
    {.method = NULL},
};

const ChRoute ch_http_legacy_routes[] = {
    CH_HTTP_GET ("/api/devices", CH_AUTH_READ, ch_http_list_devices_params, "Devices",
                 ch_http_list_devices),
    CH_HTTP_GET ("/api/devices/{id}", CH_AUTH_READ, ch_http_device_params, "A device",
                 ch_http_get_device),
    CH_HTTP_GET ("/api/devices/{id}/ports", CH_AUTH_READ, ch_http_device_params,
                 "Its ports", ch_http_get_ports),
    CH_HTTP_GET ("/api/devices/{id}/orders", CH_AUTH_READ, ch_http_device_orders_params,
                 "Orders of a device", ch_http_list_device_orders),
    CH_HTTP_GET ("/api/sessions/{id}", CH_AUTH_READ, ch_http_device_params,
                 "Its connection", ch_http_get_session),
    CH_HTTP_GET ("/api/orders/{order_no}", CH_AUTH_READ, ch_http_order_params, "An order",
                 ch_http_get_order),
    {.method = NULL},
};
