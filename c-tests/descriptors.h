/* descriptors.h: how many descriptors the process has, but for what the library itself opens to
 * find written pages. */
#ifndef RLUA_TEST_DESCRIPTORS_H
#define RLUA_TEST_DESCRIPTORS_H

#include "harness.h"

#include <dirent.h>

/* Windows does not list them: one that leaks is not seen there. */
static inline int descriptors(void) {
#ifdef _WIN32
    return 0;
#else
    DIR *listing = opendir("/proc/self/fd");
    struct dirent *entry;
    char path[300], target[256];
    int count = 0;
    if (!listing) return 0;
    while ((entry = readdir(listing))) {
        ssize_t length;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        length = readlink(path, target, sizeof target - 1);
        if (length <= 0) continue;
        target[length] = '\0';
        if (strncmp(target, "anon_inode:[userfaultfd]", 24) != 0 && !strstr(target, "/pagemap"))
            count++;
    }
    closedir(listing);
    return count;
#endif
}

#endif
