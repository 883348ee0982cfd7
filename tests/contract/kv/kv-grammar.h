/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random commands, right and wrong ones, over a few keys of all types. */
#pragma once

#include "helpers/kv-fixture.h"

typedef enum {
  KV_EXACT,
  KV_UNORDERED, /* items in any order */
  KV_PAIRS,     /* pairs of items in any order */
  KV_TIME,      /* a number that goes with the time */
  KV_COUNT,     /* drawn at random: only how many */
} KvCompare;

typedef struct {
  KvWords words;
  KvCompare compare;
} KvCommand;

void kv_grammar_make (GRand *random, KvCommand *command);
char *kv_command_text (const KvCommand *command);
void kv_command_clear (KvCommand *command);

gsize kv_grammar_n_keys (void);
char *kv_grammar_key (gsize index);
