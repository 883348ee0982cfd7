/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replies that are owed: handles of slot and generation. Whoever owes one answers it
 * exactly once; when its owner stops, it is failed. Deadlines are the maker's timers.
 */
#pragma once

#include "base/owner.h"

/* Fails an unanswered reply; its slot is free already. */
typedef void (*ChReplyFail) (gpointer data, const char *reason);

ChReplies *ch_replies_new (void);
void ch_replies_free (ChReplies *replies);

/* @kind: constant, checked at use; @data is the maker's, given back by take. */
ChReply ch_replies_add (ChReplies *replies, ChPlugin *owner, const char *kind,
                        gpointer data, ChReplyFail fail);
/* Looks, without answering; NULL when it is gone or of another kind (counted). */
gpointer ch_replies_peek (ChReplies *replies, ChReply reply, const char *kind);
/* Answers: gives @data back once; NULL when it was answered, failed or is of another
 * kind. */
gpointer ch_replies_take (ChReplies *replies, ChReply reply, const char *kind);
guint64 ch_replies_stale (ChReplies *replies); /* late or repeated answers so far */
guint ch_replies_pending (ChReplies *replies);
