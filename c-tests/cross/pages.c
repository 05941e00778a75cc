/* pages.c: the system that the other tests run on has the pages that were asked for, and strict.c
 * is on. CROSS_PAGE_BYTES says what was asked for. */
#define _DEFAULT_SOURCE
#include "../harness.h"

#include <sys/mman.h>

static size_t page_bytes(void) {
    const char *text = getenv("CROSS_PAGE_BYTES");
    CHECK(text != NULL);
    return strtoul(text, NULL, 10);
}

TEST(the_system_has_pages_of_that_size) { CHECK_EQ(sysconf(_SC_PAGESIZE), page_bytes()); }

static void protect_half_a_page(void *start) {
    fclose(stderr);
    mprotect((char *)start + page_bytes() / 2, page_bytes() / 2, PROT_READ);
}

TEST(half_a_page_is_refused) {
    void *start = mmap(NULL, 2 * page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
    CHECK(start != MAP_FAILED);
    CHECK_EQ(in_child(protect_half_a_page, start), -SIGABRT);
    CHECK_EQ(mprotect(start, page_bytes(), PROT_READ), 0);
}

/* The library's calls come through strict.c, too: they are made under these names. */
TEST(a_vm_lies_in_whole_pages) {
    lua_State *L = open_vm(4 * MIB, 3);
    run(L, "t = {} for i = 1, 20000 do t[i] = i end");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "#t", "20000");
    lua_close(L);
}
