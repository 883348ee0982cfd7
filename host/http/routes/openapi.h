/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "http/http-private.h"

/* OpenAPI 3.0, made of the tables of routes. (transfer full) */
json_t *ch_http_openapi (ChHttp *http);
