/* path.c: the way that leads to an object, for a sentence: a shortest one, as diff_text.c has it.
 *
 * It is found by the walk of a diff, of a state with itself. Needs memory, in proportion to the
 * objects that are nearer; changes nothing.
 *
 * Part of the one translation unit, behind canon.c and diff.c.
 */

/* The way to an object, or to one that has it as a vector, written to `text`; empty where none is
 * found. */
static void find_path(const global_State *g, const void *target, char *text, size_t room) {
  Diff d = {.ga = g, .gb = g, .most = 1, .target = target, .target_pair = NO_PAIR};
  Text t = {text, room, 0};
  text[0] = '\0';
  meet_roots(&d);
  walk_pairs(&d);
  if (d.target_pair != NO_PAIR) put_way(&t, &d, d.target_pair, NULL, 0);
  free_diff(&d);
}

/* Of what could not be saved in a region itself, PATH_ROOM bytes, and where it lies. */
size_t rlua_c_canon_path(const void *canon, char *text) {
  const Canon *c = canon;
  text[0] = '\0';
  if ((uint64_t)(uintptr_t)c->from == c->base) find_path(c->g, c->where, text, PATH_ROOM);
  return (size_t)((const char *)c->where - c->from);
}
