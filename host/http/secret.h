/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Secrets that have to be stored readable (of signatures), encrypted with
 * `security.master_key`: HMAC-SHA256 in counter mode, then a tag over all of it. Text:
 * `v1:` and base64 of nonce, ciphertext, tag.
 */
#pragma once

#include <glib.h>

/* @master (nullable): without one the text stays as it is. (transfer full) */
char *ch_http_secret_seal (const char *master, const char *text);
/* (transfer full) (nullable): NULL when the key is missing or wrong, or it was changed */
char *ch_http_secret_open (const char *master, const char *stored);
