/* frames.c: the frame of a Lua function, pushed inline where the virtual machine calls one.
 *
 * Part of the one translation unit, before charges/vm.c. OP_CALL is the one place in lvm.c that
 * calls luaD_precall. All but the common case is left to that: a C function, `__call`, a stack or a
 * list of frames that has to grow. Nothing has changed when it is called.
 */

/* As luaD_precall: the frame to run, or NULL when a C function was called. What is to happen at
 * each call of OP_CALL belongs at the top; tail calls pass luaD_pretailcall. */
static inline __attribute__((always_inline)) CallInfo *frame_precall(lua_State *L, StkId func,
                                                                     int nresults) {
  CallInfo *ci = L->ci->next;
  if (l_likely(ttisLclosure(s2v(func)) && ci != NULL)) {
    const Proto *p = clLvalue(s2v(func))->p;
    if (l_likely(L->stack_last.p - L->top.p > p->maxstacksize)) {
      StkId end = func + 1 + p->numparams;
      ci->func.p = func;
      ci->nresults = (short)nresults;
      ci->callstatus = 0;
      ci->top.p = func + 1 + p->maxstacksize;
      ci->u.l.savedpc = p->code;
      L->ci = ci;
      while (L->top.p < end) setnilvalue(s2v(L->top.p++)); /* missing arguments */
      lua_assert(ci->top.p <= L->stack_last.p);
      return ci;
    }
  }
  return luaD_precall(L, func, nresults);
}
