/* parser.c: what compiling charges (budget.h). Includes llex.c, lcode.c and lparser.c.
 *
 * A source is charged by its length when it is read (rlua_fill in unit.c). The rest are the loops
 * that are longer than the source: lists of jumps, names searched in each function outside, labels.
 */

static void check_chain(lua_State *L, Table *t, const TValue *key, const TValue *slot);
#define luaH_finishset(L, t, key, slot, value) \
  (check_chain(L, t, key, slot), luaH_finishset(L, t, key, slot, value))

#include "llex.c"

/* A search among so many. */
static void spend_search(LexState *ls, int count) {
  rlua_spend(ls->L, 1 + ((unsigned int)count >> 3));
}

#define getjump(first_word, pc) getjump_##first_word, pc)
#define getjump_FuncState getjump(FuncState
#define getjump_fs (spend_search(fs->ls, 0), getjump)(fs
#include "lcode.c"
#undef getjump

#define searchvar(first_word, ...) searchvar_##first_word, __VA_ARGS__)
#define searchvar_FuncState searchvar(FuncState
#define searchvar_fs (spend_search(fs->ls, fs->nactvar), searchvar)(fs
#define searchupvalue(first_word, name) searchupvalue_##first_word, name)
#define searchupvalue_FuncState searchupvalue(FuncState
#define searchupvalue_fs (spend_search(fs->ls, fs->nups), searchupvalue)(fs
#define findlabel(first_word, name) findlabel_##first_word, name)
#define findlabel_LexState findlabel(LexState
#define findlabel_ls (spend_search(ls, ls->dyd->label.n), findlabel)(ls
#define solvegotos(first_word, label) solvegotos_##first_word, label)
#define solvegotos_LexState solvegotos(LexState
#define solvegotos_ls (spend_search(ls, ls->dyd->gt.n), solvegotos)(ls
#include "lparser.c"
#undef searchvar
#undef searchupvalue
#undef findlabel
#undef solvegotos
#undef luaH_finishset
