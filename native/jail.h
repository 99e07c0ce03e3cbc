/* The jail of every job that reads or writes what an image, a guest or a tenant made: own user, mount, pid, network,
 * ipc and uts namespace, the named directory as its root, five capabilities at most and only inside of it, resource
 * limits, and a system call filter. Entered before the first byte of input is read. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct jail_plan {
  int root_fd;            /* becomes /; read-only unless writable. -1: prepare() makes one */
  void (*prepare)(void *argument); /* runs in the new namespaces, before anything is given up; leaves the root as working directory */
  int writable;
  int keep_fds;           /* descriptors 0 .. keep_fds-1 survive */
  uint64_t memory_bytes;  /* RLIMIT_AS */
  uint64_t file_bytes;    /* RLIMIT_FSIZE */
  uint64_t cpu_seconds;   /* RLIMIT_CPU */
  uint64_t open_files;    /* RLIMIT_NOFILE */
  const int *capabilities; /* ends with -1 */
};

/* Runs `inside` in the jail and waits for it; its answer (or 1, with a report, when a signal ended it). Ids 0..65535
 * are mapped to themselves, so that files are owned by the ids that the archive names. */
int jail_run(const struct jail_plan *plan, int (*inside)(void *), void *argument);

/* From here on only reading, writing, and work on files below the root; for all threads. No more processes, no
 * executable memory, no device nodes. */
void jail_seal(void);
/* For a program of the distribution that is about to be executed: no sockets, no other processes' memory, no mounts, no
 * namespaces, none of the kernel's large side doors. They are answered with ENOSYS. */
void jail_seal_program(void);

/* Clones this process with new namespaces, maps ids 0..65535 to themselves and returns in both: 0 in the child. */
pid_t jail_clone(unsigned long namespaces);
/* Gives up every capability that is not in the list (ends with -1), for good. */
void jail_keep_capabilities(const int *capabilities);
/* setrlimit(2), never above what this process may have. */
void jail_limit(int resource, uint64_t value);
