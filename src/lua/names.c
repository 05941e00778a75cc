/* names.c: what a script is told of a pointer, and of the process, in the deterministic profile.
 *
 *   value                                text
 *   table, closure, userdata, thread     0x0000000078f0: the offset in the VM
 *   a function of the libraries          builtin: string.format
 *   a pointer that the host registered   builtin: and its name
 *   any other                            native: and its number in the list (keys.c)
 *
 * Different pointers have different texts, as in stock Lua: scripts use them as keys.
 *
 * Part of the one translation unit, behind the libraries, whose functions it names. Not here: which
 * order keys have (keys.c).
 */

/* -- in images --------------------------------------------------------------------------------- */

#define IMAGE_OUTWARD ((uint64_t)1 << 63)

/* What stands for a name in an image, and depends on nothing else: FNV-1a of 64 bits over the kind
 * and the bytes. */
static uint64_t name_word(int kind, const char *first, size_t first_length, const char *second,
                          size_t second_length) {
  uint64_t hash = (0xCBF29CE484222325u ^ (unsigned int)kind) * 0x100000001B3u;
  for (size_t i = 0; i < first_length; i++)
    hash = (hash ^ (unsigned char)first[i]) * 0x100000001B3u;
  for (size_t i = 0; i < second_length; i++)
    hash = (hash ^ (unsigned char)second[i]) * 0x100000001B3u;
  return IMAGE_OUTWARD | hash;
}

uint64_t rlua_c_name_word(uint32_t kind, const char *name, size_t length) {
  return name_word((int)kind, name, length, "", 0);
}

/* -- the libraries' functions ------------------------------------------------------------------ */

/* An open-addressed table, filled once and never written again: name_libraries. What a search reads
 * is apart from the names, so that it stays in the cache. */
#define LIBRARY_SLOTS 512u

typedef struct LibrarySlot {
  int32_t offset;      /* of the function from the first one, luaB_print */
  unsigned int number; /* a hash of its name, never 0; 0 where nothing is */
} LibrarySlot;

typedef struct LibraryName {
  const char *library, *name; /* the name is both */
} LibraryName;

static LibrarySlot library_slots[LIBRARY_SLOTS];
static LibraryName library_names[LIBRARY_SLOTS];
static uint64_t library_words[LIBRARY_SLOTS]; /* in images: canon.c */
/* The slot of a word, and one more: open-addressed by words. */
static uint16_t slots_by_words[LIBRARY_SLOTS];

/* The function's slot, or the empty one where it would stand. */
static inline unsigned int library_slot(const void *function) {
  ptrdiff_t offset = (ptrdiff_t)((size_t)function - (size_t)&luaB_print);
  unsigned int i = (unsigned int)offset * 0x9E3779B9u >> 23;
  while (library_slots[i].number != 0 && library_slots[i].offset != offset)
    i = (i + 1) % LIBRARY_SLOTS;
  return i;
}

/* 0 for a function that is none of the libraries'. */
static unsigned int rlua_library_number(lua_CFunction function) {
  return library_slots[library_slot((void *)(size_t)function)].number;
}

/* FNV-1a, never 0. It depends on the name alone: peers need not register in one order. */
static unsigned int hash_name(unsigned int hash, const char *name) {
  for (; *name != '\0'; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
  return hash;
}
#define NAME_HASH_START 2166136261u

/* Where the slot of a word is noted, or would be. */
static uint16_t *slot_of_word(uint64_t word) {
  unsigned int i = (unsigned int)word % LIBRARY_SLOTS;
  while (slots_by_words[i] != 0 && library_words[slots_by_words[i] - 1] != word)
    i = (i + 1) % LIBRARY_SLOTS;
  return &slots_by_words[i];
}

/* A function of the libraries by its name's word, or NULL. */
const void *rlua_c_library_function(uint64_t word) {
  uint16_t slot = *slot_of_word(word);
  return slot == 0 ? NULL : (const char *)&luaB_print + library_slots[slot - 1].offset;
}

/* Of two names for one function the first counts. */
static void name_functions(const char *library, const luaL_Reg *functions) {
  for (; functions->name != NULL; functions++) {
    unsigned int i = library_slot((void *)(size_t)functions->func);
    if (functions->func == NULL || library_slots[i].number != 0) continue;
    ptrdiff_t offset = (ptrdiff_t)((size_t)functions->func - (size_t)&luaB_print);
    unsigned int hash = hash_name(hash_name(NAME_HASH_START, library), functions->name);
    library_slots[i] = (LibrarySlot){(int32_t)offset, hash | (hash == 0)};
    library_names[i] = (LibraryName){library, functions->name};
    library_words[i] = name_word(NAME_FUNCTION, library, strlen(library), functions->name,
                                 strlen(functions->name));
    *slot_of_word(library_words[i]) = (uint16_t)(i + 1);
  }
}

/* What the libraries push without listing it. */
static const luaL_Reg unlisted[] = {
    {"buffer.__gc", boxgc},
    {"collectgarbage.restricted", restricted_collectgarbage},
    {"coroutine.wrap.call", luaB_auxwrap},
    {"host.call", host_trampoline},
    {"debug.hook", (lua_CFunction)(void *)hookf},
    {"dofile.continue", (lua_CFunction)(void *)dofilecont},
    {"getmetatable.restricted", restricted_getmetatable},
    {"io.close_never", io_noclose},
    {"io.lines.next", io_readline},
    {"ipairs.next", ipairsaux},
    {"load.text", restricted_load},
    {"luaopen_base", luaopen_base},
    {"luaopen_coroutine", luaopen_coroutine},
    {"luaopen_debug", luaopen_debug},
    {"luaopen_io", luaopen_io},
    {"luaopen_math", luaopen_math},
    {"luaopen_os", luaopen_os},
    {"luaopen_package", luaopen_package},
    {"luaopen_string", luaopen_string},
    {"luaopen_table", luaopen_table},
    {"luaopen_utf8", luaopen_utf8},
    {"package.__gc", gctm},
    {"pairs.continue", (lua_CFunction)(void *)pairscont},
    {"pcall.continue", (lua_CFunction)(void *)finishpcall},
    {"package.searchers.C", searcher_C},
    {"package.searchers.Croot", searcher_Croot},
    {"package.searchers.Lua", searcher_Lua},
    {"package.searchers.preload", searcher_preload},
    {"resource.__gc", handle_end},
    {"setmetatable.restricted", restricted_setmetatable},
    {"string.gmatch.next", gmatch_aux},
    {"traceback", traceback_handler},
    {"utf8.codes.next", iter_auxstrict},
    {"utf8.codes.next_lax", iter_auxlax},
    {"warn.continue", (lua_CFunction)(void *)warnfcont},
    {"warn.off", (lua_CFunction)(void *)warnfoff},
    {"warn.on", (lua_CFunction)(void *)warnfon},
    {NULL, NULL}};

/* Once, before any VM is made. */
static void name_libraries(void) {
  name_functions("", base_funcs);
  name_functions("coroutine.", co_funcs);
  name_functions("debug.", dblib);
  name_functions("file.", meth);
  name_functions("file.", metameth);
  name_functions("io.", iolib);
  name_functions("math.", mathlib);
  name_functions("math.", randfuncs);
  name_functions("os.", syslib);
  name_functions("package.", pk_funcs);
  name_functions("", ll_funcs);
  name_functions("string.", strlib);
  name_functions("string.", stringmetamethods);
  name_functions("table.", tab_funcs);
  name_functions("utf8.", funcs);
  name_functions("", unlisted);
}

/* -- the texts --------------------------------------------------------------------------------- */

/* Writes at most POINTER_ROOM bytes and returns how many, without the zero at the end. A pointer
 * that leads out of the VM gets its number, so this may raise: no memory. */
static int rlua_pointer_text(lua_State *L, const void *pointer, char *text) {
  size_t address = (size_t)pointer;
  if (pointer == NULL) return snprintf(text, POINTER_ROOM, "(null)");
  if (address < LOWEST_ADDRESS || is_in_region(&G(L)->own, pointer))
    return snprintf(text, POINTER_ROOM, "0x%012x", (unsigned int)address);
  unsigned int slot = library_slot(pointer);
  if (library_slots[slot].number != 0)
    return snprintf(text, POINTER_ROOM, "builtin: %s%s", library_names[slot].library,
                    library_names[slot].name);
  const rlua_Pointer *met = meet_pointer(L, pointer);
  if (met->name != NULL) return snprintf(text, POINTER_ROOM, "builtin: %s", met->name);
  return snprintf(text, POINTER_ROOM, "native: %u", (unsigned int)(met - G(L)->own.pointers) + 1);
}

/* `%p` of string.format: a width and the flag '-', as there. */
static int rlua_format_name(lua_State *L, int arg, char *form, char *text) {
  char name[POINTER_ROOM];
  checkformat(L, form, L_FMTFLAGSC, 0);
  form[strlen(form) - 1] = 's';
  rlua_pointer_text(L, lua_topointer(L, arg), name);
  return snprintf(text, MAX_ITEM, form, name);
}

/* -- names of the host ------------------------------------------------------------------------- */

static int is_library_name(const char *name) {
  char full[NAME_BYTES + 1];
  for (unsigned int i = 0; i < LIBRARY_SLOTS; i++) {
    if (library_slots[i].number == 0) continue;
    snprintf(full, sizeof full, "%s%s", library_names[i].library, library_names[i].name);
    if (strcmp(full, name) == 0) return 1;
  }
  return 0;
}

static rlua_Pointer *find_name(const rlua_Own *own, const char *name) {
  for (unsigned int i = 0; i < own->pointer_count; i++)
    if (own->pointers[i].name != NULL && strcmp(own->pointers[i].name, name) == 0)
      return &own->pointers[i];
  return NULL;
}

static int is_name(const char *name) {
  size_t length = strlen(name);
  if (length == 0 || length > NAME_BYTES) return 0;
  for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++)
    if (*c <= ' ' || *c == 0x7F) return 0;
  return 1;
}

typedef struct Registration {
  const char *name;
  const void *address;
  unsigned int kind;
} Registration;

/* Whatever can raise comes before what changes anything. */
BODY(register_body) {
  const Registration *wanted = ud;
  rlua_Own *own = &G(L)->own;
  size_t size = strlen(wanted->name) + 1;
  int is_new = find_pointer(own, wanted->address) == NULL;
  if (is_new && own->pointer_count == own->pointer_capacity) grow_pointers(L);
  char *name = memcpy(luaM_malloc_(L, size, KIND_TAG + KIND_BYTES), wanted->name, size);
  rlua_Pointer *pointer = meet_pointer(L, wanted->address);
  card_range(pointer, sizeof *pointer);
  if (is_new) pointer->number = hash_name(NAME_HASH_START, name); /* no table has it yet */
  pointer->name = name;
  pointer->kind = wanted->kind;
  int kind = wanted->kind == POINTER_FUNCTION ? NAME_FUNCTION : NAME_POINTER;
  uint64_t mixed = (own->named ^ name_word(kind, name, size - 1, "", 0)) * 0x9E3779B97F4A7C15u;
  own->named = (unsigned int)(mixed >> 32);
}

/* Names a pointer. After any answer but REGISTER_OK nothing has changed. */
int rlua_c_register(lua_State *L, const char *name, const void *address, int is_function) {
  card_lock(L);
  const rlua_Own *own = &G(L)->own;
  unsigned int kind = is_function ? POINTER_FUNCTION : POINTER_DATA;
  if (!is_name(name)) return REGISTER_BAD_NAME;
  if (is_in_region(own, address) || (size_t)address < LOWEST_ADDRESS) return REGISTER_BAD_POINTER;
  if (library_slots[library_slot(address)].number != 0) return REGISTER_NAMED;
  const rlua_Pointer *pointer = find_pointer(own, address), *named = find_name(own, name);
  if (named != NULL && named == pointer && named->kind == kind) return REGISTER_OK;
  if (named != NULL || is_library_name(name)) return REGISTER_TAKEN;
  if (pointer != NULL && pointer->name != NULL) return REGISTER_NAMED;
  Registration wanted = {name, address, kind};
  int status = luaD_rawrunprotected(L, register_body, &wanted);
  return status == LUA_OK ? REGISTER_OK : REGISTER_NO_MEMORY;
}

/* -- the process ------------------------------------------------------------------------------- */

/* What stock systems on Linux say, for the errors that every system numbers the same. */
static const char *rlua_strerror(lua_State *L, int number) {
  static const char *const texts[] = {
      [EPERM] = "Operation not permitted", [ENOENT] = "No such file or directory",
      [EINTR] = "Interrupted system call", [EIO] = "Input/output error",
      [E2BIG] = "Argument list too long",  [EBADF] = "Bad file descriptor",
      [ECHILD] = "No child processes",     [ENOMEM] = "Cannot allocate memory",
      [EACCES] = "Permission denied",      [EBUSY] = "Device or resource busy",
      [EEXIST] = "File exists",            [EXDEV] = "Invalid cross-device link",
      [ENOTDIR] = "Not a directory",       [EISDIR] = "Is a directory",
      [EINVAL] = "Invalid argument",       [EMFILE] = "Too many open files",
      [EFBIG] = "File too large",          [ENOSPC] = "No space left on device",
      [ESPIPE] = "Illegal seek",           [EROFS] = "Read-only file system",
      [EPIPE] = "Broken pipe"};
  if (!rlua_deterministic(L)) return strerror(number);
  if (number < 0 || number >= (int)(sizeof texts / sizeof texts[0]) || texts[number] == NULL)
    return "error of the system";
  return texts[number];
}

/* LUA_PATH and its kin, and os.getenv. */
static const char *rlua_getenv(lua_State *L, const char *name) {
  return rlua_deterministic(L) ? NULL : getenv(name);
}

static const char *rlua_package_path(lua_State *L) {
  static const char folders[] =
      "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;"
      "/usr/local/lib/lua/5.4/?.lua;/usr/local/lib/lua/5.4/?/init.lua;"
      "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua;./?.lua;./?/init.lua";
  return rlua_deterministic(L) ? folders : stock_package_path;
}

/* The folders of every platform, so that modules of the system are found on each. */
static const char *rlua_package_cpath(lua_State *L) {
  static const char folders[] =
      "/usr/local/lib/lua/5.4/?.so;/usr/lib/x86_64-linux-gnu/lua/5.4/?.so;"
      "/usr/lib/aarch64-linux-gnu/lua/5.4/?.so;/usr/lib/lua/5.4/?.so;"
      "/usr/lib64/lua/5.4/?.so;./?.so";
  return rlua_deterministic(L) ? folders : stock_package_cpath;
}
