/* recover.c: an idle VM out of one that foreign unwinding left.
 *
 * A C++ exception, pthread_exit or a forced unwinding that goes through Lua's frames runs none of
 * what these would have done at their end: the depth stays above zero, the threads' CallInfos stay
 * where they were, `errorJmp` points into stack that is gone. Host code runs in C functions (as
 * metamethods, finalizers, comparators too), hooks, readers, writers and warn functions; where Lua
 * calls one of these its objects and lists are consistent, so the fields below are all there is to
 * put right. Not so where an allocation function of the host raises: that it must not do.
 *
 * Part of the one translation unit, behind protect.h. Contract: rlua_recover in calls.h.
 */

#define ABANDONED "abandoned by a foreign unwinding"

BODY(message_body) {
  *(TString **)ud = luaS_newliteral(L, ABANDONED);
}

/* Where the outermost call of a thread has its function. A vararg function has moved up behind its
 * arguments (luaT_adjustvarargs), leaving a copy of itself. */
static StkId outermost_function(lua_State *L) {
  const CallInfo *ci = L->base_ci.next;
  StkId func = ci->func.p;
  if (isLua(ci)) {
    const Proto *p = clLvalue(s2v(func))->p;
    StkId below = func - (ci->u.l.nextraargs + p->numparams + 1);
    if (p->is_vararg && ci->u.l.savedpc > p->code && below > L->stack.p &&
        ttisLclosure(s2v(below)) && clLvalue(s2v(below)) == clLvalue(s2v(func)))
      return below;
  }
  return func;
}

/* What no frame of C stands behind any more. */
static void unwind(lua_State *L) {
  card_lock(L);
  L->errorJmp = NULL;
  L->errfunc = 0;
  L->allowhook = 1;
  L->nCcalls = 0;
}

/* As lua_resume leaves a coroutine whose error nobody caught: dead, with its frames for a
 * traceback, its variables pending until it is closed. Room for one more message: what resumes a
 * dead coroutine pushes another. */
static void abandon(lua_State *L, TString *message) {
  unwind(L);
  L->status = LUA_ERRRUN;
  setsvalue2s(L, L->top.p, message);
  L->top.p++;
  if (L->ci->top.p <= L->top.p) L->ci->top.p = L->top.p + 1;
}

/* As lua_pcall leaves the thread after an error in its outermost call, without the message. What is
 * unwound while it closes variables is taken up again from where the base level says. */
static void unwind_main(lua_State *main) {
  CallInfo *base = &main->base_ci;
  if (!(base->callstatus & CIST_CLSRET)) {
    if (main->ci == base) return;
    base->u2.funcidx = cast_int(outermost_function(main) - main->stack.p);
  }
  main->ci = base;
  base->callstatus = CIST_C | CIST_CLSRET;
  luaD_closeprotected(main, savestack(main, main->stack.p + base->u2.funcidx), LUA_OK);
  base->callstatus = CIST_C;
  main->top.p = main->stack.p + base->u2.funcidx;
  luaD_shrinkstack(main);
}

/* `main` is the main thread; no frame of its VM is on any stack. May run `__close`. After a panic
 * function that jumped, the VM is idle, but its main thread is dead. */
void rlua_c_recover(lua_State *main) {
  card_lock(main);
  global_State *g = G(main);
  if (rlua_c_is_idle(main) && main->status == LUA_OK) return;
  rlua_leave(main, 0);
  g->gcstp &= cast_byte(~GCSTPGC); /* it was in a finalizer */
  g->gcstopem = g->gcemergency = 0;
  unwind(main);
  main->base_ci.callstatus &= CIST_C | CIST_CLSRET; /* no finalizer runs on it any more */
  incnny(main); /* the main thread never yields */
  main->status = LUA_OK;
  TString *message = g->memerrmsg;
  luaD_rawrunprotected(main, message_body, &message);
  for (GCObject *o = g->allgc; o != NULL; o = o->next) {
    if (o->tt != LUA_VTHREAD || o == obj2gco(main) || isdead(g, o)) continue;
    lua_State *thread = gco2th(o);
    if (thread->status == LUA_OK && thread->ci != &thread->base_ci) abandon(thread, message);
    else if (thread->errorJmp != NULL) unwind(thread); /* in a load, at its base level */
  }
  unwind_main(main);
}

int rlua_recover(lua_State *L) {
  rlua_Hold hold;
  int refused = hooks.seize(L, &hold);
  if (refused != STATUS_OK) return refused;
  rlua_c_recover(G(L)->mainthread);
  let_go(&hold);
  return STATUS_OK;
}
