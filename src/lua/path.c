/* path.c: the way that leads to an object, for a sentence: a shortest one, as diff_text.c has it.
 *
 * It is found by the walk of a diff, of a state with itself. Needs memory, in proportion to the
 * objects that are nearer; changes nothing.
 *
 * Part of the one translation unit, behind canon.c and diff.c.
 */

/* The step to the first value of a table that leads out of the VM and has no name; STEP_NONE where
 * none does. */
static Step nameless_step(const Canon *c, const Table *h) {
  unsigned int count = luaH_realasize(h);
  for (unsigned int i = 0; i < count; i++)
    if (is_outward_tag(rawtt(&h->array[i])) && is_nameless(c, (const char *)&h->array[i]))
      return (Step){NULL, i + 1, STEP_INDEX};
  for (const Node *n = gnode(h, 0), *end = n + (isdummy(h) ? 0 : sizenode(h)); n < end; n++)
    if (is_outward_tag(rawtt(gval(n))) && is_nameless(c, (const char *)gval(n)))
      return (Step){n, 0, STEP_KEY};
  return (Step){NULL, 0, STEP_NONE};
}

/* The way to what could not be saved, or to the object that has it, written to `text`; empty where
 * none is found. */
static void find_path(const Canon *c, char *text, size_t room) {
  Diff d = {.ga = c->g, .gb = c->g, .most = 1, .target = c->where, .target_pair = NO_PAIR};
  Text t = {text, room, 0};
  text[0] = '\0';
  meet_roots(&d);
  walk_pairs(&d);
  if (d.target_pair != NO_PAIR) {
    const GCObject *o = d.pairs[d.target_pair].a;
    Step last = {NULL, 0, STEP_NONE};
    if (o != NULL && o->tt == LUA_VTABLE) last = nameless_step(c, gco2t((GCObject *)o));
    put_way(&t, &d, d.target_pair, last.kind == STEP_NONE ? NULL : &last, 0);
  }
  free_diff(&d);
}

/* Of what could not be saved in a region itself, PATH_ROOM bytes, and where it lies. */
size_t rlua_c_canon_path(const void *canon, char *text) {
  const Canon *c = canon;
  text[0] = '\0';
  if ((uint64_t)(uintptr_t)c->from == c->base) find_path(c, text, PATH_ROOM);
  return (size_t)((const char *)c->where - c->from);
}
