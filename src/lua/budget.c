/* budget.c: how a budget is set, and what happens when it is used up.
 *
 * Part of the one translation unit, behind protect.h. Contracts: calls.h. What is charged where:
 * overrides/budget.h and charges/.
 */

/* The script's place, as luaL_where names it: that of the innermost function that is a script's. */
BODY(budget_message_body) {
  const CallInfo *ci = L->ci;
  (void)ud;
  while (ci != &L->base_ci && !isLua(ci)) ci = ci->previous;
  luaO_pushfstring(L, "the budget is used up");
  if (isLua(ci))
    luaG_addinfo(L, getstr(tsvalue(s2v(L->top.p - 1))), ci_func(ci)->p->source,
                 getcurrentline((CallInfo *)ci));
}

/* The collector may run in here, as an emergency, but no script. The value that is raised stands on
 * top: what is below it stays, since variables to be closed are among it. */
static void rlua_used_up(lua_State *L) {
  rlua_Own *own = &G(L)->own;
  if (!own->budgeted) {
    own->fuel = INT64_MAX;
    return;
  }
  ptrdiff_t top = savestack(L, L->top.p);
  own->fuel = -1;
  if (luaD_rawrunprotected(L, budget_message_body, NULL) != LUA_OK) {
    L->top.p = restorestack(L, top);
    setsvalue2s(L, L->top.p, G(L)->memerrmsg);
    L->top.p++;
  }
  luaD_throw(L, RLUA_ERRBUDGET);
}

/* Frames that run without charges look at `trap` before their next jump back or call is done. Who
 * resumed whom is known to no thread, so all are told. */
static void stop_plain_frames(global_State *g) {
  settraps(g->mainthread->ci);
  for (GCObject *o = g->allgc; o != NULL; o = o->next)
    if (o->tt == LUA_VTHREAD) settraps(gco2th(o)->ci);
}

int rlua_set_budget(lua_State *L, uint64_t units) {
  ENTER;
  rlua_Own *own = &G(L)->own;
  if (!own->budgeted && units <= INT64_MAX && own->depth != 0) stop_plain_frames(G(L));
  own->budgeted = units <= INT64_MAX;
  own->fuel = own->budgeted ? (int64_t)units : INT64_MAX;
  FINISH(LUA_OK);
}

int rlua_budget_left(lua_State *L, uint64_t *units) {
  ENTER;
  NOT_NULL(units);
  const rlua_Own *own = &G(L)->own;
  *units = !own->budgeted ? RLUA_NO_BUDGET : own->fuel > 0 ? (uint64_t)own->fuel : 0;
  FINISH(LUA_OK);
}
