/* stack.c: protected calls on the stack itself and on its variables to be closed.
 *
 * Part of the one translation unit, behind protect.h. Contracts: objects.h.
 */

BODY(settop_body) {
  lua_settop(L, ARGS->index);
}

/* Dropping slots may close variables, which runs Lua. */
int rlua_settop(lua_State *L, int index) {
  ENTER;
  int top = lua_gettop(L);
  REFUSE_IF(index < 0 && -(index + 1) > top, "index = %d would take more off this stack than it "
            "holds: %d %s", index, HOLDS(L));
  int wanted = index >= 0 ? index : top + index + 1;
  if (wanted >= top || L->tbclist.p < L->ci->func.p + 1 + wanted) {
    if (wanted > top) ROOM(wanted - top);
    lua_settop(L, wanted);
    FINISH(LUA_OK);
  }
  Args args = {.index = wanted};
  RUN(settop_body, top - wanted);
}

BODY(toclose_body) {
  lua_toclose(L, ARGS->index);
}

int rlua_toclose(lua_State *L, int index) {
  ENTER;
  SLOT(index);
  REFUSE_IF(L->tbclist.p >= index2stack(L, index), "index = %d names a slot at or below one that "
            "was marked before", index);
  Args args = {.index = index};
  RUN(toclose_body, 0);
}

BODY(closeslot_body) {
  lua_closeslot(L, ARGS->index);
}

int rlua_closeslot(lua_State *L, int index) {
  ENTER;
  SLOT(index);
  REFUSE_IF(L->tbclist.p != index2stack(L, index), "index = %d does not name the newest variable "
            "to be closed", index);
  Args args = {.index = index};
  RUN(closeslot_body, 0);
}

/* Moving raises nothing, given room. */
int rlua_xmove(lua_State *L, lua_State *to, int count) {
  ENTER;
  NOT_NULL(to);
  REFUSE_IF(!hooks.same(L, to), "to is no thread of the VM that L belongs to");
  REFUSE_IF(count < 0, "count = %d is negative", count);
  TAKES(count);
  if (L == to) FINISH(LUA_OK);
  if (!has_room(to, count)) return refuse_full(L, &hold, __func__);
  lua_xmove(L, to, count);
  FINISH(LUA_OK);
}
