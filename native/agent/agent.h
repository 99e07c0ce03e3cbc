/* The guest's agent: PID 1 of a machine's initramfs. One loop, no thread, never waits for the host. */
#pragma once
#include "wire.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
void set_nonblocking(int fd);
int write_file(const char *path, const char *text);
ssize_t read_file(const char *path, char *buffer, size_t room);
int make_directories(const char *path, mode_t mode);

/* A failure that the host is told: a short code of its own table and a sentence. */
struct failure { char code[32]; char message[256]; };
__attribute__((format(printf, 3, 4))) int fail(struct failure *, const char *code, const char *format, ...);

/* modules.c: loads of /modules/STAGE, one name a line, what is not there yet. */
int load_modules(const char *stage, struct failure *);
/* All stages, for a machine that others will resume from; `probe_devices` in each of those brings its devices up. */
int load_ahead(struct failure *);
void probe_devices(void);
/* network.c */
int network_setup(struct fields, struct failure *);
/* setup.c: identity, network and the root file system at /root. `resumed`: from the memory of a machine that loaded ahead. */
int system_setup(struct fields, bool resumed, struct failure *);
int set_clock(struct fields, struct failure *);
void system_teardown(void);
/* Volumes, disks and shared directories, at /volumes/NUMBER from the setup until the workload has them. */
enum { MAX_VOLUMES = 8 };
int volume_mounts(int trees[MAX_VOLUMES]);
void let_go_of_volumes(void);
/* Fields of the last setup, kept for the workload's own mounts. */
extern struct fields setup_fields;

/* launch.c: children. */
struct child {
  pid_t pid;
  int in, out, err;   /* our ends; with a terminal `in` == `out` is its master and `err` is -1 */
  int go;             /* workload: a byte here lets it execute; -1 after */
  int report;         /* failures come here; end of file means that it was executed */
};
/* Returns 0 when the child is ready (workload: waits for `go`; exec: executed). */
int launch(struct fields, bool workload, struct child *, struct failure *);
/* Waits for the child's report after `go`. */
int launched(struct child *, struct failure *);
void set_terminal_size(int fd, long long rows, long long columns);
int set_pids_limit(long long pids);
extern pid_t workload_pid;

/* ../os-boot.c, ../os-ready.c: jobs inside an image with an init of its own. */
int boot_main(int argc, char **argv);
int ready_main(int argc, char **argv);
int off_main(int argc, char **argv);
/* ../os-copy-out.c, ../os-copy-in.c: jobs inside any image. */
int copy_out_main(int argc, char **argv);
int copy_in_main(int argc, char **argv);
int processes_main(int argc, char **argv);

/* The mount that holds the workload's cgroup, and its files. */
#define CGROUP_DIR "/sys/fs/cgroup"
#define WORKLOAD_CGROUP CGROUP_DIR "/workload"
/* Beside an init of the image's own, which has the root. */
#define EXEC_CGROUP CGROUP_DIR "/berth.exec"
#define AGENT_CGROUP CGROUP_DIR "/berth.agent"
