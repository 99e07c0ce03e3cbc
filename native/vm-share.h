/* Directories of the host that a machine shares by virtio-fs: a virtiofsd for each. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

enum { MAX_SHARES = 8 };
/* As root, before the watcher joins its control groups: what `share` in the plan names is opened. Hands over QEMU's ends. */
void shares_open(void (*hand_over)(int fd, int to));
/* As root, from within the control groups: their virtiofsd's begin, each behind walls of its own. `complaints` is their stderr. */
void shares_start(int complaints);
/* True when one of them ended; never without shares. */
bool share_ended(void);
