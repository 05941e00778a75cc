/* folder.h: a folder of a test's own, for files that are gone with it. */
#ifndef RLUA_TEST_FOLDER_H
#define RLUA_TEST_FOLDER_H

#include "harness.h"

#include <dirent.h>

static char folder[64];

/* `name` tells whose it is. */
static inline void make_folder(const char *name) {
    snprintf(folder, sizeof folder, "/tmp/rlua-%s-XXXXXX", name);
    CHECK(mkdtemp(folder) != NULL);
}

static inline void remove_folder(void) {
    DIR *listing = opendir(folder);
    struct dirent *entry;
    char path[512];
    if (!listing) return;
    while ((entry = readdir(listing))) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(listing);
    rmdir(folder);
}

#endif
