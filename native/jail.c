#include "jail.h"
#include "job-report.h"
#include "rules.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_map(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  static const char map[] = "0 0 65536\n";
  if (fd < 0 || write(fd, map, sizeof map - 1) != (ssize_t)sizeof map - 1) fail_errno("map the ids of the jail");
  close(fd);
}

pid_t jail_clone(unsigned long namespaces) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) < 0) fail_errno("make a pipe");
  pid_t parent = getpid();
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid < 0) fail_errno("make the namespaces of the jail");
  if (pid > 0) {
    close(gate[0]);
    write_map(pid, "uid_map");
    write_map(pid, "gid_map");
    if (write(gate[1], "", 1) != 1) fail_errno("open the jail");
    close(gate[1]);
    return pid;
  }
  char byte;
  close(gate[1]);
  if (read(gate[0], &byte, 1) != 1) _exit(2); /* the parent failed and said why */
  close(gate[0]);
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) fail_errno("become root of the jail");
  /* Killing the outer process ends the jail; a parent that is gone already shows as 0 (other pid namespace) or 1. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("tie the jail to its parent");
  if (!(namespaces & CLONE_NEWPID) && getppid() != parent) _exit(2);
  return 0;
}

void jail_keep_capabilities(const int *capabilities) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    const int *kept = capabilities;
    while (*kept >= 0 && *kept != capability) kept++;
    if (*kept >= 0) data[capability / 32].permitted |= 1u << capability % 32;
    else if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) fail_errno("drop a capability");
  }
  for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted;
  if (syscall(SYS_capset, &header, data) < 0) fail_errno("drop capabilities");
}

/* `.` becomes / and nothing else is left to see. pivot_root(2) with both arguments the same, see its manual page. */
static void change_root(int writable) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) fail_errno("clone the mount of the directory");
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (writable ? 0 : MOUNT_ATTR_RDONLY)};
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) fail_errno("set the mount flags of the jail");
  if (syscall(SYS_move_mount, fd, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0) fail_errno("mount the directory");
  if (fchdir(fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) fail_errno("change the root");
  close(fd);
}

void jail_limit(int resource, uint64_t value) {
  struct rlimit now, wanted = {.rlim_cur = value, .rlim_max = value};
  if (getrlimit(resource, &now) == 0 && now.rlim_max < value) wanted = (struct rlimit){now.rlim_max, now.rlim_max};
  if (setrlimit(resource, &wanted) < 0) fail_errno("set a resource limit");
}

int jail_run(const struct jail_plan *plan, int (*inside)(void *), void *argument) {
  static char *no_environment[] = {NULL};
  environ = no_environment;
  if (syscall(SYS_close_range, plan->keep_fds, ~0u, 0) < 0) fail_errno("close descriptors");
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("tie the job to the daemon");
  /* The working directory follows the process into the new mount namespace; a descriptor does not. */
  if (plan->root_fd >= 0 && fchdir(plan->root_fd) < 0) fail_errno("enter the directory");
  if (!RULE_JAIL) return inside(argument);
  pid_t pid = jail_clone(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
  if (pid == 0) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail_errno("make the mounts of the jail private");
    if (plan->root_fd >= 0) close(plan->root_fd);
    if (plan->prepare) plan->prepare(argument);
    change_root(plan->writable);
    jail_limit(RLIMIT_AS, plan->memory_bytes);
    jail_limit(RLIMIT_FSIZE, plan->file_bytes);
    jail_limit(RLIMIT_CPU, plan->cpu_seconds);
    jail_limit(RLIMIT_NOFILE, plan->open_files);
    jail_limit(RLIMIT_CORE, 0);
    umask(0);
    jail_keep_capabilities(plan->capabilities);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail_errno("set no_new_privs");
    /* Again: a change of capabilities clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("tie the jail to its parent");
    _exit(inside(argument));
  }
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail_errno("wait for the jail");
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (WTERMSIG(status) == SIGKILL) fail("exhausted", "cpuTime", "The jail was killed: its time was used up.");
  fail("internal", "jail", "The jail was ended by signal %d.", WTERMSIG(status));
}
