/* Children of the agent. The workload gets a mount and a pid namespace of its own, so that it is PID 1 there, all that it
 * started ends with it, and the agent's disks can be let go; an exec joins both. */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <grp.h>
#include <unistd.h>

enum { REPORT_TIMEOUT_MS = 20000, MAX_LIST = 4096 };

pid_t workload_pid;

/* ---- the child's side: it may only report and end ---- */

static int report_fd;

__attribute__((noreturn, format(printf, 2, 3))) static void give_up(const char *code, const char *format, ...) {
  struct failure f = {0};
  snprintf(f.code, sizeof f.code, "%s", code);
  va_list list;
  va_start(list, format);
  vsnprintf(f.message, sizeof f.message, format, list);
  va_end(list);
  send(report_fd, &f, sizeof f, MSG_NOSIGNAL);
  while (getpid() == 1) pause(); /* the host has the reason and ends the machine; the end of PID 1 would be a panic */
  _exit(1);
}

static void must(int result, const char *what) {
  if (result < 0) give_up("internal", "%s: %s", what, strerror(errno));
}

static void make_mount_point(const char *target) {
  struct stat s;
  /* An image may hold a link or a file where a file system belongs. */
  if (lstat(target, &s) == 0 && !S_ISDIR(s.st_mode)) unlink(target);
  make_directories(target, 0755);
}

static void mount_at(const char *source, const char *target, const char *type, unsigned long flags, const char *options) {
  make_mount_point(target);
  if (mount(source, target, type, flags, options)) give_up("internal", "mount %s: %s", target, strerror(errno));
}

static void mount_below_dev(long long shm_bytes, unsigned long shm_flags) {
  char options[64];
  mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
  snprintf(options, sizeof options, "mode=1777,size=%lld", shm_bytes);
  mount_at("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | shm_flags, options);
}

/* An init of its own gets the kernel's devices: the machine is its. */
static void show_devices(long long shm_bytes) {
  mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755");
  unlink("/dev/ptmx");
  must(symlink("pts/ptmx", "/dev/ptmx"), "/dev/ptmx");
  mount_below_dev(shm_bytes, 0);
}

static void make_devices(long long shm_bytes) {
  static const struct { const char *path; int major, minor; } nodes[] = {
    {"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
  };
  static const char *const links[][2] = {
    {"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"},
  };
  mount_at("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].path);
    chmod(nodes[i].path, 0666);
  }
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) must(symlink(links[i][0], links[i][1]), links[i][1]);
  mount_below_dev(shm_bytes, MS_NOEXEC);
  if (mkdir("/dev/mqueue", 0755) == 0) mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Files of the host's making over the image's: as in a container they are mounts, not writes. */
static const char *const etc_files[][2] = {{"/files/hosts", "/etc/hosts"}, {"/files/resolv.conf", "/etc/resolv.conf"}, {"/files/hostname", "/etc/hostname"}};
enum { ETC_FILES = sizeof etc_files / sizeof *etc_files };

static int clone_tree(const char *path) { return syscall(SYS_open_tree, AT_FDCWD, path, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC); }

static void move_tree(int tree, const char *target) {
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, 4 /* MOVE_MOUNT_F_EMPTY_PATH */) < 0) give_up("internal", "mount %s: %s", target, strerror(errno));
  close(tree);
}

static void put_tree(int tree, const char *target) {
  int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd >= 0) close(fd);
  move_tree(tree, target);
}

/* What an image with an init of its own finds beside the kernel's file systems: what our boot program is told, and a login
 * on the console where systemd is. The host name and its like are written by that program, not mounted. */
static void prepare_own_init(struct fields f) {
  static const char wants[] = "/run/systemd/system/getty.target.wants";
  const char *seed = field(f, "boot-seed", "");
  mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  make_directories(wants, 0755);
  must(symlink("/lib/systemd/system/console-getty.service", "/run/systemd/system/getty.target.wants/console-getty.service"), wants);
  int fd = open("/dev/.seed", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
  must(fd, "/dev/.seed");
  for (unsigned byte; *seed;) {
    unsigned char bytes[4096];
    size_t count = 0;
    for (; count < sizeof bytes && sscanf(seed, "%2x", &byte) == 1; seed += 2) bytes[count++] = byte;
    if (!count) give_up("invalid", "malformed boot seed");
    must(write(fd, bytes, count), "/dev/.seed");
  }
  close(fd);
}

static void enter_root(struct fields f) {
  int trees[ETC_FILES], volumes[MAX_VOLUMES], volume_count = volume_mounts(volumes);
  bool own_init = field_number(f, "own-init", 0);
  int program = clone_tree("/init");
  for (size_t i = 0; i < ETC_FILES; i++) trees[i] = own_init ? -1 : clone_tree(etc_files[i][0]);
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
  let_go_of_volumes();
  must(chdir("/root"), "root");
  must(mount(".", "/", NULL, MS_MOVE, NULL), "move root");
  must(chroot("."), "chroot");
  must(chdir("/"), "chdir");
  mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  unsigned long fixed = own_init ? 0 : MS_RDONLY;
  mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | fixed, NULL);
  if (!own_init) unshare(CLONE_NEWCGROUP);
  mount("cgroup", CGROUP_DIR, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC | fixed, NULL);
  (own_init ? show_devices : make_devices)(field_number(setup_fields, "shm-bytes", 64 << 20));
  if (own_init) prepare_own_init(f);
  must(program, "own program");
  put_tree(program, "/dev/.init");
  make_directories("/etc", 0755);
  for (size_t i = 0; i < ETC_FILES; i++) {
    const char *target = etc_files[i][1];
    struct stat s;
    if (trees[i] < 0) continue;
    if (lstat(target, &s) == 0 && S_ISLNK(s.st_mode)) unlink(target);
    put_tree(trees[i], target);
  }
  const char *text;
  for (size_t at = 0; (text = field_next(setup_fields, "tmpfs", &at));) {
    char options[64];
    char *target;
    long long bytes = strtoll(text, &target, 10);
    snprintf(options, sizeof options, "mode=1777,size=%lld", bytes);
    mount_at("tmpfs", target + 1, "tmpfs", MS_NOSUID | MS_NODEV, options);
  }
  size_t at = 0;
  for (int i = 0; i < volume_count && (text = field_next(setup_fields, "volume", &at)); i++) {
    const char *target = strchr(text, '/');
    must(volumes[i], target);
    make_mount_point(target);
    move_tree(volumes[i], target);
  }
  make_directories(field(f, "cwd", "/"), 0755);
  if (field_number(setup_fields, "read-only", 0)) must(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), "read-only root");
}

static void limit(struct fields f) {
  const char *text;
  for (size_t at = 0; (text = field_next(f, "rlimit", &at));) {
    int which;
    unsigned long long soft, hard;
    if (sscanf(text, "%d %llu %llu", &which, &soft, &hard) != 3) give_up("invalid", "malformed rlimit");
    struct rlimit value = {soft, hard};
    if (setrlimit(which, &value)) give_up("invalid", "rlimit %d: %s", which, strerror(errno));
  }
}

static void become(struct fields f) {
  uint64_t keep = 0;
  gid_t groups[256];
  size_t count = 0;
  const char *text;
  uid_t uid = field_number(f, "uid", 0);
  gid_t gid = field_number(f, "gid", 0);
  for (size_t at = 0; (text = field_next(f, "capability", &at));) keep |= 1ull << (strtoul(text, NULL, 10) & 63);
  for (size_t at = 0; count < 256 && (text = field_next(f, "group", &at));) groups[count++] = strtoul(text, NULL, 10);
  for (int i = 0; i < 3; i++) if (fchown(i, uid, isatty(i) ? (gid_t)5 : gid)) continue; /* so that /dev/stdout can be opened again */
  for (int cap = 0; cap < 64; cap++) {
    if (keep & (1ull << cap) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break; /* the kernel has no more */
    must(-1, "capabilities");
  }
  must(setgroups(count, groups), "setgroups");
  must(setresgid(gid, gid, gid), "setgid");
  must(setresuid(uid, uid, uid), "setuid");
  if (uid == 0) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{keep, keep, 0}, {keep >> 32, keep >> 32, 0}};
    must(syscall(SYS_capset, &head, data), "capset");
  }
  if (field_number(f, "no-new-privileges", 0)) must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static char *const *list(struct fields f, const char *name) {
  static char *room[2][MAX_LIST + 1];
  static int used;
  char **out = room[used++];
  size_t count = 0;
  const char *text;
  for (size_t at = 0; count < MAX_LIST && (text = field_next(f, name, &at));) out[count++] = (char *)text;
  return out;
}

/* Docker's meaning: 127 when there is none, 126 when it cannot be executed. */
static const char *find_program(const char *name, char *const *env) {
  static char path[4096];
  struct stat s;
  bool refused = false;
  if (strchr(name, '/')) {
    if (stat(name, &s)) give_up(errno == EACCES ? "notExecutable" : "notFound", "%s: %s", name, strerror(errno));
    if (!S_ISREG(s.st_mode) || access(name, X_OK)) give_up("notExecutable", "%s: %s", name, S_ISDIR(s.st_mode) ? "is a directory" : "permission denied");
    return name;
  }
  const char *search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (; *env; env++) if (!strncmp(*env, "PATH=", 5)) search = *env + 5;
  for (const char *part = search; *part; part += strcspn(part, ":"), part += *part == ':') {
    int length = strcspn(part, ":");
    if (snprintf(path, sizeof path, "%.*s/%s", length, part, name) >= (int)sizeof path || stat(path, &s)) continue;
    if (S_ISREG(s.st_mode) && access(path, X_OK) == 0) return path;
    refused = true;
  }
  give_up(refused ? "notExecutable" : "notFound", refused ? "%s: permission denied" : "%s: not found in PATH", name);
}

/* PID 1 of the workload's namespace when an init was asked for: reaps orphans, hands signals on, ends as the workload. */
__attribute__((noreturn)) static void be_init(pid_t first) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  for (int fd = 0; fd < 3; fd++) close(fd);
  close(report_fd);
  for (;;) {
    int signal = sigwaitinfo(&all, NULL), status;
    if (signal != SIGCHLD) { if (signal > 0) kill(first, signal); continue; }
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == first) _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  }
}

static void own_terminal(struct fields f) {
  int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), zero = 0, number;
  char path[64];
  must(master, "terminal");
  must(ioctl(master, TIOCSPTLCK, &zero), "terminal");
  must(ioctl(master, TIOCGPTN, &number), "terminal");
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  int slave = open(path, O_RDWR | O_NOCTTY);
  must(slave, path);
  set_terminal_size(master, field_number(f, "rows", 24), field_number(f, "columns", 80));
  for (int i = 0; i < 3; i++) dup2(slave, i);
  if (slave > 2) close(slave);
  /* The machine's console; an init opens it for itself, and it must not be its controlling terminal then. */
  if (field_number(f, "own-init", 0)) {
    int console = open("/dev/console", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (console >= 0) close(console);
    must(mount(path, "/dev/console", NULL, MS_BIND, NULL), "console");
  } else {
    must(ioctl(0, TIOCSCTTY, 0), "controlling terminal");
  }
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = {0};
  struct iovec data = {"M", 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.head), &master, sizeof master);
  must(sendmsg(report_fd, &message, MSG_NOSIGNAL), "terminal");
  close(master);
}

__attribute__((noreturn)) static void child_main(struct fields f, bool workload, int mount_ns, int go) {
  sigset_t none;
  sigemptyset(&none);
  signal(SIGPIPE, SIG_DFL); /* the only one that the agent ignores; its other choices end with the exec */
  if (workload) {
    enter_root(f);
  } else {
    /* The agent beside an init is never killed for memory; what it executes must be. */
    must(write_file("/proc/self/oom_score_adj", "0"), "oom_score_adj");
    must(setns(mount_ns, CLONE_NEWNS), "join");
  }
  if (workload && field_number(f, "init", 0)) {
    pid_t first = fork();
    must(first, "fork");
    if (first) be_init(first);
  }
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  if (field_number(f, "terminal", 0)) own_terminal(f);
  char *const *args = list(f, "arg"), *const *env = list(f, "env");
  const char *cwd = field(f, "cwd", "/");
  if (!args[0]) give_up("invalid", "no command");
  limit(f);
  become(f);
  if (chdir(cwd)) give_up("notExecutable", "working directory %s: %s", cwd, strerror(errno));
  const char *program = find_program(args[0], env);
  if (go >= 0) {
    char byte;
    must(send(report_fd, "R", 1, MSG_NOSIGNAL), "report");
    if (read(go, &byte, 1) != 1) _exit(137);
  }
  execve(program, args, env);
  give_up(errno == ENOENT ? "notFound" : "notExecutable", "%s: %s", program, strerror(errno));
}

/* ---- the agent's side ---- */

void set_terminal_size(int fd, long long rows, long long columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  if (rows > 0 && rows < 65536 && columns > 0 && columns < 65536) ioctl(fd, TIOCSWINSZ, &size);
}

int set_pids_limit(long long pids) {
  char text[32];
  snprintf(text, sizeof text, pids > 0 ? "%lld" : "max", pids);
  return write_file(WORKLOAD_CGROUP "/pids.max", text);
}

/* 1: ready, 0: executed (end of the report), -1: failure. */
static int take_report(struct child *c, struct failure *why) {
  for (;;) {
    struct pollfd p = {c->report, POLLIN, 0};
    int ready = poll(&p, 1, REPORT_TIMEOUT_MS);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(why, "timeout", "the process did not start in time");
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct failure said;
    struct iovec data = {&said, sizeof said};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(c->report, &message, MSG_CMSG_CLOEXEC);
    if (length == sizeof said) { *why = said; return -1; }
    if (length == 1 && *(char *)&said == 'R') return 1;
    if (length <= 0) return 0;
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_type == SCM_RIGHTS) {
      memcpy(&c->in, CMSG_DATA(&control.head), sizeof(int));
      c->out = c->in;
      set_nonblocking(c->in);
    }
  }
}

static int open_stdio(struct fields f, int theirs[3], struct child *c) {
  for (int i = 0; i < 3; i++) {
    int pair[2];
    if (field_number(f, "terminal", 0) || (i == 0 && !field_number(f, "stdin", 0))) {
      if ((theirs[i] = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0) return -1;
      continue;
    }
    if (pipe2(pair, O_CLOEXEC)) return -1;
    theirs[i] = pair[i ? 1 : 0];
    *(i == 0 ? &c->in : i == 1 ? &c->out : &c->err) = pair[i ? 0 : 1];
    set_nonblocking(pair[i ? 0 : 1]);
  }
  return 0;
}

/*
 * A child that is born in its control group: to move a process there later takes the kernel a grace period, half of what an
 * exec took. An init of its own has all groups from the root on; what is executed beside it has a leaf of its own.
 */
static pid_t fork_into_group(uint64_t flags) {
  const char *group = workload_pid == 1 ? EXEC_CGROUP : WORKLOAD_CGROUP;
  int fd = open(group, O_PATH | O_DIRECTORY | O_CLOEXEC);
  uint64_t args[11] = {flags | 0x200000000ull /* CLONE_INTO_CGROUP */, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, fd};
  pid_t pid = fd < 0 ? -1 : syscall(SYS_clone3, args, sizeof args);
  int said = errno;
  if (fd >= 0 && pid != 0) close(fd);
  errno = said;
  if (pid >= 0 || errno == EAGAIN) return pid; /* EAGAIN: as many as its group may have */
  /* A kernel without them, or one's own of before 5.7. */
  pid = syscall(SYS_clone, SIGCHLD | flags, NULL, NULL, NULL, NULL);
  if (pid == 0) {
    char path[64];
    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    write_file(path, "0");
  }
  return pid;
}

static void close_all(struct child *c) {
  if (c->in >= 0 && c->in != c->out) close(c->in);
  for (int i = 0, fds[] = {c->out, c->err, c->go, c->report}; i < 4; i++) if (fds[i] >= 0) close(fds[i]);
  c->in = c->out = c->err = c->go = c->report = -1;
}

int launch(struct fields f, bool workload, struct child *c, struct failure *why) {
  *c = (struct child){.pid = 0, .in = -1, .out = -1, .err = -1, .go = -1, .report = -1};
  int theirs[3] = {-1, -1, -1}, reports[2], go[2] = {-1, -1}, mount_ns = -1, pid_ns = -1, own_ns = -1, result = -1;
  char path[64];
  fail(why, "internal", "could not start a process");
  if (open_stdio(f, theirs, c) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports)) goto out;
  c->report = reports[0];
  if (workload) {
    if (pipe2(go, O_CLOEXEC)) goto out;
    c->go = go[1];
  } else {
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", workload_pid);
    mount_ns = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/ns/pid", workload_pid);
    pid_ns = open(path, O_RDONLY | O_CLOEXEC);
    own_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (mount_ns < 0 || pid_ns < 0 || own_ns < 0 || setns(pid_ns, CLONE_NEWPID)) { fail(why, "wrongState", "the workload is not running"); goto out; }
  }
  bool own_init = workload && field_number(f, "own-init", 0);
  if (own_init) {
    /* The image's init must be PID 1: the agent goes on in the child, and this process becomes the workload. It is the
     * agent that gets mounts of its own: programs that the kernel starts (modprobe, for what takes crash dumps) have this
     * process's root, and shall find the system's there. */
    rmdir(WORKLOAD_CGROUP);
    mkdir(EXEC_CGROUP, 0755);
    mkdir(AGENT_CGROUP, 0755);
    c->pid = syscall(SYS_clone, SIGCHLD | CLONE_NEWNS, NULL, NULL, NULL, NULL);
    if (c->pid == 0) { c->pid = 1; write_file(AGENT_CGROUP "/cgroup.procs", "0"); }
    else if (c->pid > 0) c->pid = 0;
  } else {
    c->pid = fork_into_group(workload ? CLONE_NEWPID | CLONE_NEWNS : 0);
  }
  int forked = c->pid < 0 ? errno : 0;
  if (c->pid == 0) {
    report_fd = fcntl(reports[1], F_DUPFD_CLOEXEC, 10);
    int waits = workload ? fcntl(go[0], F_DUPFD_CLOEXEC, 10) : -1, joins = workload ? -1 : fcntl(mount_ns, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++) theirs[i] = fcntl(theirs[i], F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++) dup2(theirs[i], i);
    /* Descriptors of the agent would reach an init, which does not execute. */
    if (workload) for (int fd = 3; fd < 1024; fd++) if (fd != report_fd && fd != waits) close(fd);
    child_main(f, workload, joins, waits);
  }
  if (own_ns >= 0 && setns(own_ns, CLONE_NEWPID)) die("could not return to the pid namespace");
  close(reports[1]);
  if (c->pid < 0) {
    if (forked == EAGAIN) fail(why, "exhausted", "no further process is allowed inside");
    goto out;
  }
  result = take_report(c, why);
  if (workload) let_go_of_volumes();
  if (result >= 0) result = result == (workload ? 1 : 0) ? 0 : fail(why, "internal", "the process ended while it was prepared");
out:
  for (int i = 0; i < 3; i++) if (theirs[i] >= 0) close(theirs[i]);
  if (go[0] >= 0) close(go[0]);
  for (int i = 0, fds[] = {mount_ns, pid_ns, own_ns}; i < 3; i++) if (fds[i] >= 0) close(fds[i]);
  if (result) {
    if (c->pid > 1) { kill(c->pid, SIGKILL); waitpid(c->pid, NULL, 0); }
    close_all(c);
  } else if (!workload) { close(c->report); c->report = -1; }
  return result;
}

int launched(struct child *c, struct failure *why) {
  char byte = 1;
  if (write(c->go, &byte, 1) != 1) return fail(why, "wrongState", "the workload is gone");
  close(c->go);
  c->go = -1;
  int result = take_report(c, why);
  close(c->report);
  c->report = -1;
  return result > 0 ? 0 : result;
}
