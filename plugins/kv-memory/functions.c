/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Libraries of functions. */
#include "engine-private.h"
#include "scripts.h"

#include <string.h>

#define BAD_NAME                                                                         \
  "Library names can only contain letters, numbers, or underscores(_) and must be at "   \
  "least one character long"

static void function_free (gpointer data)
{
  MemFunction *function = data;
  g_free (function->name);
  g_free (function->description);
  g_free (function);
}

static void library_free (gpointer data)
{
  MemLibrary *library = data;
  g_free (library->name);
  g_free (library->code);
  g_ptr_array_unref (library->functions);
  g_free (library);
}

/* Frees the callbacks in Lua, too. */
static void library_drop (MemEngine *engine, MemLibrary *library)
{
  for (guint i = 0; i < library->functions->len; i++) {
    MemFunction *function = g_ptr_array_index (library->functions, i);
    luaL_unref (engine->lua, LUA_REGISTRYINDEX, function->ref);
  }
  library_free (library);
}

static gboolean is_name (const char *text)
{
  gsize n = 0;
  for (; text[n] != '\0'; n++)
    if (!g_ascii_isalnum (text[n]) && text[n] != '_')
      return FALSE;
  return n > 0;
}

/* ---- redis.register_function --------------------------------------------------------
 */

/* What a call of it says; the values stay on the stack meanwhile. */
typedef struct {
  const char *name;
  const char *description;
  MemFunctionFlags flags;
  gint callback; /* index on the stack */
} Registration;

static const char *read_flags (lua_State *lua, gint table, MemFunctionFlags *flags)
{
  static const struct {
    const char *name;
    MemFunctionFlags flag;
  } known[] = {{"no-writes", MEM_FUNCTION_NO_WRITES},
               {"allow-oom", MEM_FUNCTION_ALLOW_OOM},
               {"allow-stale", MEM_FUNCTION_ALLOW_STALE},
               {"no-cluster", MEM_FUNCTION_NO_CLUSTER}};

  for (gint i = 1;; i++) {
    gboolean found = FALSE;
    lua_rawgeti (lua, table, i);
    gint type = lua_type (lua, -1);
    const char *flag = type == LUA_TSTRING ? lua_tostring (lua, -1) : "";
    for (guint k = 0; k < G_N_ELEMENTS (known); k++) {
      if (strcmp (known[k].name, flag) == 0) {
        *flags |= known[k].flag;
        found = TRUE;
      }
    }
    lua_pop (lua, 1);
    if (type == LUA_TNIL)
      return NULL;
    if (!found)
      return "unknown flag given";
  }
}

/* One named argument; key and value are on the top of the stack. */
static const char *read_named (lua_State *lua, Registration *registration)
{
  if (lua_type (lua, -2) != LUA_TSTRING)
    return "named argument key given to redis.register_function is not a string";
  const char *key = lua_tostring (lua, -2);
  gint type = lua_type (lua, -1);
  if (g_ascii_strcasecmp (key, "function_name") == 0) {
    if (!lua_isstring (lua, -1))
      return "function_name argument given to redis.register_function must be a string";
    registration->name = lua_tostring (lua, -1);
  } else if (g_ascii_strcasecmp (key, "description") == 0) {
    if (!lua_isstring (lua, -1))
      return "description argument given to redis.register_function must be a string";
    registration->description = lua_tostring (lua, -1);
  } else if (g_ascii_strcasecmp (key, "callback") == 0) {
    if (type != LUA_TFUNCTION)
      return "callback argument given to redis.register_function must be a function";
    lua_pushvalue (lua, -1);
    lua_replace (lua, registration->callback);
  } else if (g_ascii_strcasecmp (key, "flags") == 0) {
    if (type != LUA_TTABLE)
      return "flags argument to redis.register_function must be a table representing "
             "function flags";
    return read_flags (lua, lua_gettop (lua), &registration->flags);
  } else {
    return "unknown argument given to redis.register_function";
  }
  return NULL;
}

static const char *read_table (lua_State *lua, Registration *registration)
{
  const char *error = NULL;

  if (!lua_istable (lua, 1))
    return "calling redis.register_function with a single argument is only applicable to "
           "Lua table (representing named arguments).";
  lua_settop (lua, 1);
  lua_pushnil (lua);
  registration->callback = 2;
  for (lua_pushnil (lua); lua_next (lua, 1) != 0; lua_pop (lua, 1))
    if ((error = read_named (lua, registration)) != NULL)
      return error;
  if (registration->name == NULL)
    return "redis.register_function must get a function name argument";
  if (lua_isnil (lua, registration->callback))
    return "redis.register_function must get a callback argument";
  return NULL;
}

static const char *read_registration (lua_State *lua, Registration *registration)
{
  gint argc = lua_gettop (lua);

  if (argc < 1 || argc > 2)
    return "wrong number of arguments to redis.register_function";
  if (argc == 1)
    return read_table (lua, registration);
  if (!lua_isstring (lua, 1))
    return "first argument to redis.register_function must be a string";
  if (lua_type (lua, 2) != LUA_TFUNCTION)
    return "second argument to redis.register_function must be a function";
  registration->name = lua_tostring (lua, 1);
  registration->callback = 2;
  return NULL;
}

static gint register_function (lua_State *lua)
{
  MemEngine *engine = mem_api_engine (lua);
  Registration registration = {NULL};
  const char *error = read_registration (lua, &registration);
  MemLibrary *library = engine->loading;

  if (error == NULL && library == NULL)
    error = "redis.register_function can only be called on FUNCTION LOAD command";
  if (error == NULL && !is_name (registration.name))
    error = BAD_NAME;
  for (guint i = 0; error == NULL && i < library->functions->len; i++) {
    const MemFunction *other = g_ptr_array_index (library->functions, i);
    if (strcmp (other->name, registration.name) == 0)
      error = "Function already exists in the library";
  }
  if (error != NULL)
    return mem_api_raise (lua, error);
  lua_pushvalue (lua, registration.callback);
  gint ref = luaL_ref (lua, LUA_REGISTRYINDEX);
  MemFunction *function = g_new0 (MemFunction, 1);
  function->name = g_strdup (registration.name);
  function->description = g_strdup (registration.description);
  function->flags = registration.flags;
  function->ref = ref;
  function->library = library;
  g_ptr_array_add (library->functions, function);
  return 0;
}

/* ---- loading ------------------------------------------------------------------------
 */

/* `#!lua name=…` up to the end of the line. Returns: the name; *@error when it is wrong
 */
static char *read_shebang (MemBytes code, gsize *size, char **error)
{
  const char *end = code.n > 0 ? memchr (code.p, '\n', code.n) : NULL;

  if (code.n < 2 || memcmp (code.p, "#!", 2) != 0 || end == NULL) {
    *error = g_strdup (code.n < 2 || memcmp (code.p, "#!", 2) != 0
                           ? "ERR Missing library metadata"
                           : "ERR Invalid library metadata");
    return NULL;
  }
  *size = (gsize) (end - code.p);
  g_autofree char *line = g_strndup (code.p, *size);
  g_auto (GStrv) words = g_strsplit_set (g_strstrip (line), " \t", -1);
  g_autofree char *name = NULL;
  if (g_ascii_strcasecmp (words[0], "#!lua") != 0) {
    *error = g_strdup_printf ("ERR Engine '%s' not found", words[0] + 2);
    return NULL;
  }
  for (guint i = 1; words[i] != NULL; i++) {
    if (words[i][0] == '\0')
      continue;
    if (g_ascii_strncasecmp (words[i], "name=", 5) != 0) {
      *error = g_strdup_printf ("ERR Invalid metadata value given: %s", words[i]);
      return NULL;
    }
    if (name != NULL) {
      *error = g_strdup (
          "ERR Invalid metadata value, name argument was given multiple times");
      return NULL;
    }
    name = g_strdup (words[i] + 5);
  }
  if (name == NULL)
    *error = g_strdup ("ERR Library name was not given");
  else if (!is_name (name))
    *error = g_strdup ("ERR " BAD_NAME);
  return *error == NULL ? g_steal_pointer (&name) : NULL;
}

typedef struct {
  MemEngine *engine;
  MemBytes code;
  char *error;
} Load;

/* Compiles and runs a library with only `redis` in sight; its globals come afterwards. */
static gint load_protected (lua_State *lua)
{
  Load *load = lua_touserdata (lua, 1);
  MemEngine *engine = load->engine;

  lua_settop (lua, 0);
  if (!mem_sandbox_compile (lua, load->code, "@user_function")) {
    load->error
        = g_strdup_printf ("ERR Error compiling function: %s", lua_tostring (lua, -1));
    return 0;
  }
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_load_api);
  mem_sandbox_protect (lua);
  lua_getmetatable (lua, -1);
  lua_insert (lua, 1); /* metatable, chunk, environment */
  lua_setfenv (lua, 2);
  g_autofree char *error = mem_run_chunk (engine);
  if (error != NULL) {
    load->error = g_strdup_printf ("ERR Error registering functions: %s", error);
    return 0;
  }
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_globals);
  lua_setfield (lua, 1, "__index");
  return 0;
}

static char *check_names (const MemEngine *engine, const MemLibrary *library,
                          const MemLibrary *replaced)
{
  if (library->functions->len == 0)
    return g_strdup ("ERR No functions registered");
  for (guint i = 0; i < library->functions->len; i++) {
    const MemFunction *function = g_ptr_array_index (library->functions, i);
    const MemFunction *other = g_hash_table_lookup (engine->functions, function->name);
    if (other != NULL && other->library != replaced)
      return g_strdup_printf ("ERR Function %s already exists", function->name);
  }
  return NULL;
}

static void forget (MemEngine *engine, MemLibrary *library)
{
  for (guint i = 0; i < library->functions->len; i++) {
    MemFunction *function = g_ptr_array_index (library->functions, i);
    g_hash_table_remove (engine->functions, function->name);
  }
  g_hash_table_steal (engine->libraries, library->name);
  library_drop (engine, library);
}

static void remember (MemEngine *engine, MemLibrary *library)
{
  for (guint i = 0; i < library->functions->len; i++) {
    MemFunction *function = g_ptr_array_index (library->functions, i);
    g_hash_table_insert (engine->functions, function->name, function);
  }
  g_hash_table_insert (engine->libraries, library->name, library);
}

MemLibrary *mem_library_load (MemEngine *engine, MemBytes code, gboolean replace,
                              char **error)
{
  gsize head = 0;
  *error = NULL;
  g_autofree char *name = read_shebang (code, &head, error);

  if (name == NULL)
    return NULL;
  MemLibrary *replaced = g_hash_table_lookup (engine->libraries, name);
  if (replaced != NULL && !replace) {
    *error = g_strdup_printf ("ERR Library '%s' already exists", name);
    return NULL;
  }
  MemLibrary *library = g_new0 (MemLibrary, 1);
  library->name = g_steal_pointer (&name);
  library->code = g_strndup (code.p, code.n);
  library->functions = g_ptr_array_new_with_free_func (function_free);

  /* The first line goes, its end stays: lines keep their numbers. */
  Load load = {.engine = engine, .code = {code.p + head, code.n - head}};
  engine->loading = library;
  if (lua_cpcall (engine->lua, load_protected, &load) != 0 && load.error == NULL)
    load.error = g_strdup_printf ("ERR Error registering functions: %s",
                                  lua_tostring (engine->lua, -1));
  engine->loading = NULL;
  lua_settop (engine->lua, 0);
  *error = load.error != NULL ? load.error : check_names (engine, library, replaced);
  if (*error != NULL) {
    library_drop (engine, library);
    return NULL;
  }
  if (replaced != NULL)
    forget (engine, replaced);
  remember (engine, library);
  mem_run_collect (engine);
  return library;
}

gboolean mem_library_delete (MemEngine *engine, const char *name)
{
  MemLibrary *library = g_hash_table_lookup (engine->libraries, name);
  if (library != NULL)
    forget (engine, library);
  return library != NULL;
}

static gboolean first_library (gpointer key, gpointer value, gpointer user_data)
{
  return TRUE;
}

void mem_library_flush (MemEngine *engine)
{
  MemLibrary *library;
  while ((library = g_hash_table_find (engine->libraries, first_library, NULL)) != NULL)
    forget (engine, library);
}

const MemFunction *mem_function_find (const MemEngine *engine, MemBytes name)
{
  char text[128];

  if (name.n >= sizeof text)
    return NULL;
  memcpy (text, name.p, name.n);
  text[name.n] = '\0';
  return g_hash_table_lookup (engine->functions, text);
}

static gint compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(MemLibrary *const *) a)->name, (*(MemLibrary *const *) b)->name);
}

GPtrArray *mem_library_list (const MemEngine *engine)
{
  GPtrArray *list = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer library;

  g_hash_table_iter_init (&iter, engine->libraries);
  while (g_hash_table_iter_next (&iter, NULL, &library))
    g_ptr_array_add (list, library);
  g_ptr_array_sort (list, compare_names);
  return list;
}

void mem_functions_init (MemEngine *engine)
{
  static const luaL_Reg functions[]
      = {{"register_function", register_function}, {"log", mem_api_log}, {NULL, NULL}};
  lua_State *lua = engine->lua;

  engine->libraries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, library_free);
  engine->functions = g_hash_table_new (g_str_hash, g_str_equal);
  lua_newtable (lua);
  lua_newtable (lua);
  mem_api_push_functions (engine, functions);
  mem_api_push_constants (lua);
  mem_sandbox_protect_globals (lua); /* what `redis` lacks is an error there */
  lua_setfield (lua, -2, "redis");
  lua_createtable (lua, 0, 1);
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_globals);
  lua_getmetatable (lua, -1);
  lua_getfield (lua, -1, "__index");
  lua_setfield (lua, -4, "__index");
  lua_pop (lua, 2);
  lua_setmetatable (lua, -2);
  engine->ref_load_api = luaL_ref (lua, LUA_REGISTRYINDEX);
}
