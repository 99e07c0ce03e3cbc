/* What both directions of a copy share: os-copy-out.c, os-copy-in.c. They run inside the instance, as its root: every
 * link means there what it means to the instance, and the host's files are out of reach. */
#pragma once
#include <stdint.h>

/* Opens below `at`; flags of openat2(2) `resolve`, magic links never. -1 with errno. */
int os_open_at(int at, const char *path, int flags, uint64_t resolve);
/* The path of what `fd` is, where links led to it; until the next call. `doing` and `asked` are for os_fail_path(). */
char *os_real_path(int fd, const char *doing, const char *asked);
/* Says which path could not be had, by errno, and ends the program. */
_Noreturn void os_fail_path(const char *doing, const char *path);
/* Last word of a path without `.` and trailing slashes; "." where there is none. Cuts `path` before it. */
const char *os_split(char *path, char **parent);
