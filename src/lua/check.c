int rlua_c_check(lua_State *main, size_t used_bytes, rlua_BlockBytes block_bytes, void *ud,
                 char *why) {
  (void)main, (void)used_bytes, (void)block_bytes, (void)ud, (void)why;
  return CHECK_OK;
}
