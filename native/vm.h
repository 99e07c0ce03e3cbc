/* What the parts of `vm` share: the plan, and the beginning of a jail. */
#pragma once
#include <stddef.h>

__attribute__((noreturn, format(printf, 1, 2))) void vm_bail(const char *format, ...);
/* The next value of `key` in the plan at or after `*at`, NULL when there is none. */
const char *plan_next(const char *key, size_t *at);
/* In a new mount namespace: a small tmpfs with the read-only binds of `bind_key` and the plan's links, as the working directory. */
void fill_jail(const char *bind_key);
/* It becomes the root, read-only, and nothing else is left to see. */
void close_jail(void);
