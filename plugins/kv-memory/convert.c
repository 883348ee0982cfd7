/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values of Redis to values of Lua and back. */
#include "engine-private.h"

#include <string.h>

#define DEEPEST 100

/* The names are upvalues of the caller: pushing them costs nothing. */
static void push_field (lua_State *lua, gint name, MemBytes text)
{
  lua_createtable (lua, 0, 1);
  lua_pushvalue (lua, lua_upvalueindex (name));
  if (text.n == 2 && memcmp (text.p, "OK", 2) == 0)
    lua_pushvalue (lua, lua_upvalueindex (MEM_UPVALUE_DONE));
  else
    lua_pushlstring (lua, text.p, text.n);
  lua_rawset (lua, -3);
}

static void push_items (lua_State *lua, const MemOut *out, gsize *at, gint64 count)
{
  luaL_checkstack (lua, 4, "reply is nested too deeply");
  lua_createtable (lua, (int) MIN (count, G_MAXINT32), 0);
  for (gint64 i = 0; i < count; i++) {
    mem_convert_to_lua (lua, out, at);
    lua_rawseti (lua, -2, (int) (i + 1));
  }
}

void mem_convert_to_lua (lua_State *lua, const MemOut *out, gsize *at)
{
  MemValue value = mem_out_read (out, at);

  switch (value.kind) {
  case CH_KV_REPLY_INTEGER:
    lua_pushnumber (lua, (lua_Number) value.integer);
    break;
  case CH_KV_REPLY_STRING:
    lua_pushlstring (lua, value.text.p, value.text.n);
    break;
  case CH_KV_REPLY_STATUS:
    push_field (lua, MEM_UPVALUE_OK, value.text);
    break;
  case CH_KV_REPLY_ERROR:
    push_field (lua, MEM_UPVALUE_ERR, value.text);
    break;
  case CH_KV_REPLY_ARRAY:
    push_items (lua, out, at, value.integer);
    break;
  case CH_KV_REPLY_NIL:
  default:
    lua_pushboolean (lua, FALSE);
    break;
  }
}

static MemBytes to_bytes (lua_State *lua, gint index)
{
  MemBytes bytes;
  bytes.p = lua_tolstring (lua, index, &bytes.n);
  return bytes;
}

/* A table with `ok` or `err`; pops nothing. */
static gboolean put_line (lua_State *lua, MemOut *out, const char *field)
{
  lua_pushstring (lua, field);
  lua_rawget (lua, -2);
  gboolean is_line = lua_type (lua, -1) == LUA_TSTRING;
  if (is_line) {
    MemBytes text = to_bytes (lua, -1);
    if (field[0] == 'e')
      mem_out_error_bytes (out, text.p, text.n);
    else
      mem_out_status_bytes (out, text.p, text.n);
  }
  lua_pop (lua, 1);
  return is_line;
}

static void put_value (lua_State *lua, MemOut *out, guint depth);

/* An array ends at its first nil. */
static void put_array (lua_State *lua, MemOut *out, guint depth)
{
  gsize opened = mem_out_open (out);
  gint n = 0;

  for (;;) {
    lua_rawgeti (lua, -1, n + 1);
    if (lua_isnil (lua, -1))
      break;
    put_value (lua, out, depth + 1);
    n++;
  }
  lua_pop (lua, 1);
  mem_out_close (out, opened, (gsize) n);
}

/* As a cast of C does it where it is defined. */
static gint64 to_integer (lua_Number number)
{
  if (number >= -9223372036854775808.0 && number < 9223372036854775808.0)
    return (gint64) number;
  return G_MININT64;
}

static void put_value (lua_State *lua, MemOut *out, guint depth)
{
  if (depth > DEEPEST || !lua_checkstack (lua, 4)) {
    mem_out_error (out, "ERR reached lua stack limit");
    lua_pop (lua, 1);
    return;
  }
  switch (lua_type (lua, -1)) {
  case LUA_TSTRING: {
    MemBytes text = to_bytes (lua, -1);
    mem_out_bytes (out, text.p, text.n);
    break;
  }
  case LUA_TBOOLEAN:
    if (lua_toboolean (lua, -1))
      mem_out_integer (out, 1);
    else
      mem_out_nil (out);
    break;
  case LUA_TNUMBER:
    mem_out_integer (out, to_integer (lua_tonumber (lua, -1)));
    break;
  case LUA_TTABLE:
    if (!put_line (lua, out, "err") && !put_line (lua, out, "ok"))
      put_array (lua, out, depth);
    break;
  default:
    mem_out_nil (out);
    break;
  }
  lua_pop (lua, 1);
}

void mem_convert_from_lua (lua_State *lua, MemOut *out)
{
  put_value (lua, out, 0);
}
