/* What the boot of an OS container is made of: os-boot.c, os-users.c, os-ready.c. */
#pragma once
#include <sys/types.h>

struct os_user { const char *name, *uid, *gecos, *home, *shell, *password, *groups, *sudo, *keys; };

void os_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Makes or replaces a regular file, parents too; 0, or -1 after saying why. */
int os_write(const char *path, const char *bytes, size_t length, mode_t mode, uid_t owner, gid_t group, int append);
/* At most 1 MiB of a regular file, NULL when there is none. */
char *os_read(const char *path);
/* Exit code; output goes to `log`, or nowhere (-1). */
int os_run(char *const *words, int log);
/* Numbers of names of the image’s own passwd and group; names that are not there leave what they are given. */
void os_ids(const char *user, const char *group, uid_t *uid, gid_t *gid);
void os_add_user(const struct os_user *user);
/* Waits until the init of this pid namespace has brought the system up: 0; 1 when it is up and not all well; -1 never. */
int os_wait_until_up(int seconds);
