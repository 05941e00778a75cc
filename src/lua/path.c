/* path.c: the way that leads to an object, for a sentence: a shortest one, as diff_text.c has it.
 *
 * It is found by the walk of a diff, of a state with itself. Needs memory, in proportion to the
 * objects that are nearer; changes nothing.
 *
 * Part of the one translation unit, behind image.c and diff.c.
 */

/* The way to an object, written to `text`; empty where none is found. */
static void find_path(const global_State *g, const void *target, char *text, size_t room) {
  Diff d = {.ga = g, .gb = g, .most = 1, .target = target, .target_pair = NO_PAIR};
  Text t = {text, room, 0};
  text[0] = '\0';
  meet_roots(&d);
  walk_pairs(&d);
  if (d.target_pair != NO_PAIR) put_way(&t, &d, d.target_pair, NULL, 0);
  free_diff(&d);
}

/* Of the object that could not be saved, PATH_ROOM bytes. A thread's block begins before it. */
void rlua_c_save_path(const void *saver, char *text) {
  const Saver *s = saver;
  find_path(s->g, s->of, text, PATH_ROOM);
  if (text[0] == '\0')
    find_path(s->g, (const char *)s->of + offsetof(LX, l), text, PATH_ROOM);
}
