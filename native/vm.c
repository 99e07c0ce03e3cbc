/* Between conmon and QEMU. As conmon's OCI runtime (`vm create --bundle B --pid-file F [--console-socket S] ID`; other
 * verbs do nothing) it reads B/vm.plan, opens what the machine needs while it is root, and leaves a watcher behind as
 * the monitored process. The watcher and QEMU lose every privilege before a guest runs. The watcher carries the
 * workload's output from QEMU to conmon, reads the guest agent's few words about the end, ends QEMU, and ends with the
 * workload's exit code: so conmon's exit file means the same as for a container, also while no daemon runs.
 *
 * B/vm.plan: `key=value` texts, each ended by NUL, written by the daemon. See src/drivers/runtime/qemu/vm-plan.ts. */
#include "vm.h"
#include "vm-ram.h"
#include "vm-share.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* Each is only ever off in a test build, which must then go red. */
#ifndef RULE_VM_USER
#define RULE_VM_USER 1 /* QEMU has a user of its own and no rights */
#endif
#ifndef RULE_VM_NAMESPACES
#define RULE_VM_NAMESPACES 1 /* and nothing of the host's network, processes, names and queues */
#endif

enum { PLAN_BYTES = 256 * 1024, MAX_ARGUMENTS = 256, MAX_MOVES = 64, CHUNK = 64 * 1024, STATE_BYTES = 256, STDERR_BYTES = 64 * 1024 };
/* How long claimed output may stay away after the guest said that its workload ended, in milliseconds. */
enum { SILENCE_MS = 2000 };
/* A guest waits for an answer of its shared directory without end: its machine ends soon after whoever would give it. A
 * QEMU that ends by itself lets go of that one first. */
enum { SHARELESS_MS = 1000 };
/* Until QEMU wants its memory, on a busy machine. */
enum { RAM_MS = 20000 };

static char plan[PLAN_BYTES];
static size_t plan_length;
static struct { int from, to; } moves[MAX_MOVES];
static size_t move_count;

void vm_bail(const char *format, ...) {
  va_list list;
  int error = errno;
  va_start(list, format);
  vdprintf(2, format, list);
  va_end(list);
  if (error) dprintf(2, ": %s", strerror(error));
  dprintf(2, "\n");
  _exit(1);
}

const char *plan_next(const char *key, size_t *at) {
  size_t length = strlen(key);
  while (*at < plan_length) {
    const char *text = plan + *at;
    *at += strlen(text) + 1;
    if (!strncmp(text, key, length) && text[length] == '=') return text + length + 1;
  }
  return NULL;
}

static const char *first(const char *key) {
  size_t at = 0;
  const char *value = plan_next(key, &at);
  if (!value) { errno = 0; vm_bail("the plan has no %s", key); }
  return value;
}

static void read_plan(void) {
  int fd = open("vm.plan", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) vm_bail("vm.plan");
  for (ssize_t length; (length = read(fd, plan + plan_length, sizeof plan - plan_length)) > 0;) plan_length += length;
  close(fd);
  errno = 0;
  if (!plan_length || plan_length == sizeof plan || plan[plan_length - 1]) vm_bail("vm.plan is malformed");
}

/* `fd` will be QEMU's descriptor `to`. */
static void hand_over(int fd, int to) {
  if (fd < 0) vm_bail("descriptor %d", to);
  errno = 0;
  if (move_count == MAX_MOVES || to > 90) vm_bail("too many descriptors");
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  if (high < 0) vm_bail("descriptor %d", to);
  close(fd);
  moves[move_count].from = high;
  moves[move_count++].to = to;
}

/* ---- as root ---- */

static void join_cgroups(void) {
  const char *path;
  for (size_t at = 0; (path = plan_next("cgroup", &at));) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) vm_bail("cgroup %s", path);
    close(fd);
  }
}

/* tap=FD NAME BRIDGE MTU. The interface lives as long as its descriptor. */
static void open_taps(void) {
  const char *text;
  for (size_t at = 0; (text = plan_next("tap", &at));) {
    int to, mtu;
    char name[IFNAMSIZ], bridge[IFNAMSIZ], path[96];
    errno = 0;
    if (sscanf(text, "%d %15s %15s %d", &to, name, bridge, &mtu) != 4) vm_bail("malformed tap");
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    memcpy(r.ifr_name, name, sizeof name);
    if (fd < 0 || control < 0 || ioctl(fd, TUNSETIFF, &r)) vm_bail("tap %s", name);
    /* The host itself speaks on the bridge, never on the port. */
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int knob = open(path, O_WRONLY | O_CLOEXEC);
    if (knob >= 0) { if (write(knob, "1", 1) != 1) vm_bail("%s", path); close(knob); }
    struct ifreq b = {0}, link = {0};
    memcpy(link.ifr_name, name, sizeof name);
    if (ioctl(control, SIOCGIFINDEX, &link)) vm_bail("tap %s", name);
    memcpy(b.ifr_name, bridge, sizeof bridge);
    b.ifr_ifindex = link.ifr_ifindex;
    memset(&r, 0, sizeof r);
    memcpy(r.ifr_name, name, sizeof name);
    r.ifr_mtu = mtu;
    if (ioctl(control, SIOCSIFMTU, &r)) vm_bail("mtu of tap %s", name);
    if (ioctl(control, SIOCBRADDIF, &b)) vm_bail("bridge %s", bridge);
    if (ioctl(control, SIOCGIFFLAGS, &r)) vm_bail("tap %s", name);
    r.ifr_flags |= IFF_UP;
    if (ioctl(control, SIOCSIFFLAGS, &r)) vm_bail("tap %s", name);
    close(control);
    hand_over(fd, to);
  }
}

/* open=FD r|w PATH */
static void open_files(void) {
  const char *text;
  for (size_t at = 0; (text = plan_next("open", &at));) {
    int to, used = 0;
    char mode;
    errno = 0;
    if (sscanf(text, "%d %c %n", &to, &mode, &used) != 2 || !used) vm_bail("malformed open");
    int fd = open(text + used, (mode == 'w' ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) vm_bail("%s", text + used);
    hand_over(fd, to);
  }
}

/* ram=r|w PATH: the guest's memory, -1 where it has no file. */
static int open_ram(void) {
  size_t at = 0;
  const char *text = plan_next("ram", &at);
  if (!text) return -1;
  errno = 0;
  if ((*text != 'r' && *text != 'w') || text[1] != ' ') vm_bail("malformed ram");
  int fd = open(text + 2, (*text == 'w' ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW), high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  if (fd < 0 || high < 0) vm_bail("%s", text + 2);
  close(fd);
  return high;
}

/* listen=FD NAME: a socket in the bundle, root's alone, that QEMU inherits and could not open by itself. */
static void open_sockets(void) {
  const char *text;
  for (size_t at = 0; (text = plan_next("listen", &at));) {
    int to;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    errno = 0;
    if (sscanf(text, "%d %60s", &to, address.sun_path) != 2 || strchr(address.sun_path, '/')) vm_bail("malformed listen");
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1)) vm_bail("socket %s", address.sun_path);
    hand_over(fd, to);
  }
}

static void make_target(char *path, bool directory) {
  for (char *p = path + 1; *p; p++) {
    if (*p != '/') continue;
    *p = 0;
    mkdir(path, 0755);
    *p = '/';
  }
  if (directory) mkdir(path, 0755);
  else close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444));
}

void fill_jail(const char *bind_key) {
  const char *text;
  umask(0022);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) vm_bail("private mounts");
  if (mkdir("jail", 0755) && errno != EEXIST) vm_bail("jail");
  if (mount("jail", "jail", "tmpfs", MS_NOSUID, "mode=755,size=256k")) vm_bail("jail");
  if (chdir("jail")) vm_bail("jail");
  for (size_t at = 0; (text = plan_next(bind_key, &at));) {
    char target[512];
    struct stat s;
    const char *tab = strchr(text, '\t');
    errno = 0;
    if (!tab || tab[1] != '/' || strstr(tab, "..") || tab - text > 400 || strlen(tab) > 100) vm_bail("malformed bind");
    char source[512];
    snprintf(source, sizeof source, "%.*s", (int)(tab - text), text);
    snprintf(target, sizeof target, ".%s", tab + 1);
    if (stat(source, &s)) vm_bail("%s", source);
    make_target(target, S_ISDIR(s.st_mode));
    if (mount(source, target, NULL, MS_BIND, NULL) || mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL)) vm_bail("bind %s", source);
  }
  for (size_t at = 0; (text = plan_next("link", &at));) {
    const char *tab = strchr(text, '\t');
    char to[256];
    errno = 0;
    if (!tab || tab - text > 200) vm_bail("malformed link");
    snprintf(to, sizeof to, "%.*s", (int)(tab - text), text);
    if (symlink(to, tab + 1)) vm_bail("link %s", tab + 1);
  }
  mkdir("dev", 0755);
  if (mknod("dev/null", S_IFCHR | 0666, makedev(1, 3)) || chmod("dev/null", 0666)) vm_bail("devices");
}

void close_jail(void) {
  if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) vm_bail("pivot_root");
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL)) vm_bail("read-only root");
}

/* The root of QEMU: a small tmpfs with read-only binds of what it reads, and nothing that belongs to anyone else. */
static void enter_jail(uid_t uid, gid_t gid) {
  size_t at = 0;
  if (unshare(CLONE_NEWNS | (RULE_VM_NAMESPACES ? CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS : 0))) vm_bail("namespaces");
  if (RULE_VM_NAMESPACES && sethostname("vm", 2)) vm_bail("host name");
  fill_jail("bind");
  if (mknod("dev/urandom", S_IFCHR | 0444, makedev(1, 9))) vm_bail("devices");
  if (plan_next("kvm", &at) && (mknod("dev/kvm", S_IFCHR | 0600, makedev(10, 232)) || chown("dev/kvm", uid, gid))) vm_bail("/dev/kvm");
  close_jail();
}

static void drop_privileges(uid_t uid, gid_t gid) {
  if (!RULE_VM_USER) return;
  for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) vm_bail("capabilities");
  if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) vm_bail("uid %u", uid);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) vm_bail("no_new_privs");
}

/* ---- QEMU's side of the fork ---- */

__attribute__((noreturn)) static void become_qemu(uid_t uid, gid_t gid, int watcher_alive, int complaints, int ram_socket) {
  static char *arguments[MAX_ARGUMENTS + 1], *environment[] = {"LC_ALL=C", NULL};
  const char *text;
  size_t count = 0;
  sigset_t none;
  for (size_t at = 0; (text = plan_next("rlimit", &at));) {
    int which;
    unsigned long long value;
    errno = 0;
    if (sscanf(text, "%d %llu", &which, &value) != 2) vm_bail("malformed rlimit");
    struct rlimit limit = {value, value};
    if (setrlimit(which, &limit)) vm_bail("rlimit %d", which);
  }
  for (size_t at = 0; (text = plan_next("arg", &at));) {
    errno = 0;
    if (count == MAX_ARGUMENTS) vm_bail("too many arguments");
    arguments[count++] = (char *)text;
  }
  errno = 0;
  if (!count) vm_bail("no arguments");
  /* Huge pages would make a guest's memory resident that it never touched. */
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  drop_privileges(uid, gid);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) vm_bail("parent death signal");
  struct pollfd alive = {watcher_alive, POLLIN, 0};
  if (poll(&alive, 1, 0) > 0) _exit(1); /* the watcher died before the signal was armed */
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(0077);
  setsid();
  if (ram_socket >= 0 && ram_ask(ram_socket)) vm_bail("memory file");
  for (size_t i = 0; i < move_count; i++) if (dup2(moves[i].from, moves[i].to) < 0) vm_bail("dup2");
  execve(arguments[0], arguments, environment);
  dup2(complaints, 2);
  vm_bail("%s", arguments[0]);
}

/* ---- the watcher ---- */

struct carrier { int from, to; bool terminal; char data[CHUNK]; size_t start, end; uint64_t bytes; };
static struct carrier carriers[2];
static struct { bool said; int code; char reason[16]; uint64_t bytes[2]; } end = {.code = 255, .reason = "unknown"};

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void nonblocking(int fd) { if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* The guest has the terminal that people see; this one only carries. */
static void make_raw(int terminal) {
  struct termios modes;
  if (tcgetattr(terminal, &modes)) return;
  cfmakeraw(&modes);
  tcsetattr(terminal, TCSANOW, &modes);
}

static void carry(struct carrier *c) {
  /* conmon made it translate line ends when it took it over. */
  if (c->terminal && c->bytes == 0) make_raw(c->to);
  if (c->start == c->end && c->from >= 0) {
    ssize_t length = read(c->from, c->data, sizeof c->data);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) { close(c->from); c->from = -1; return; }
    c->start = 0;
    c->end = length;
    c->bytes += length;
  }
  while (c->start < c->end) {
    ssize_t length = c->to < 0 ? (ssize_t)(c->end - c->start) : write(c->to, c->data + c->start, c->end - c->start);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length < 0) { c->to = -1; continue; } /* conmon is gone: the guest must not be held up */
    c->start += length;
  }
}

/* With an init of its own the end of the machine is the end of the workload. QEMU ends alike after power-off and reboot
 * (-no-reboot), but traces the one (-trace, softmmu/runstate.c). */
static const char POWER_OFF[] = "qemu_system_shutdown_request";
static bool own_init, powered_off;
/* What QEMU ends with when the guest's kernel said that it died (-action panic=exit-failure). */
enum { PANICKED = 1 };

static void take_complaint(const char *data, size_t length) {
  static char recent[1024 + sizeof POWER_OFF];
  static size_t used;
  memcpy(recent + used, data, length); /* at most 1,024, behind the beginning of a word that was split */
  used += length;
  powered_off |= memmem(recent, used, POWER_OFF, sizeof POWER_OFF - 1) != NULL;
  if (used >= sizeof POWER_OFF) { memmove(recent, recent + used - sizeof POWER_OFF + 1, sizeof POWER_OFF - 1); used = sizeof POWER_OFF - 1; }
}

/* The guest's words are hostile input: a known line or nothing. */
static void take_line(const char *line) {
  int code;
  unsigned long long out, err;
  char reason[16];
  static const char *const reasons[] = {"exited", "killed", "oom"};
  if (end.said) return;
  if (!strcmp(line, "own-init")) own_init = true;
  else if (!strcmp(line, "poweroff")) { end.said = true; end.code = 0; strcpy(end.reason, "poweroff"); }
  else if (!strcmp(line, "reboot")) { end.said = true; end.code = 0; strcpy(end.reason, "reboot"); }
  else if (sscanf(line, "exit %3d %15s %20llu %20llu", &code, reason, &out, &err) == 4 && code >= 0 && code <= 255) {
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
      if (strcmp(reason, reasons[i])) continue;
      end.said = true;
      end.code = code;
      strcpy(end.reason, reason);
      end.bytes[0] = out;
      end.bytes[1] = err;
    }
  }
}

static bool take_state(int fd) {
  static char held[STATE_BYTES];
  static size_t used;
  ssize_t length = read(fd, held + used, sizeof held - used);
  if (length > 0) used += length;
  for (char *line_end; (line_end = memchr(held, '\n', used));) {
    *line_end = 0;
    take_line(held);
    used -= line_end + 1 - held;
    memmove(held, line_end + 1, used);
  }
  if (used == sizeof held) used = 0;
  return length > 0 || (length < 0 && errno == EAGAIN);
}

__attribute__((noreturn)) static void watch(pid_t qemu, int state, int errors, int reason_file, int errors_file) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), status = 0;
  size_t error_bytes = 0;
  bool gone = false, killed = false;
  long long heard = now_ms(), shareless = 0;
  nonblocking(state);
  nonblocking(errors);
  for (int i = 0; i < 2; i++) { nonblocking(carriers[i].from); nonblocking(carriers[i].to); }
  for (;;) {
    struct pollfd p[5] = {{signals, POLLIN, 0}, {state, POLLIN, 0}, {errors, POLLIN, 0}};
    bool held = false;
    for (int i = 0; i < 2; i++) {
      bool full = carriers[i].start < carriers[i].end;
      held |= full;
      p[3 + i] = (struct pollfd){full ? carriers[i].to : carriers[i].from, full ? POLLOUT : POLLIN, 0};
    }
    poll(p, 5, (end.said || shareless) && !killed ? 100 : -1);
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) > 0) if (info.ssi_signo != SIGCHLD && !killed) kill(qemu, SIGKILL);
    if (!gone && waitpid(qemu, &status, WNOHANG) == qemu) gone = true;
    if (!shareless && share_ended()) shareless = now_ms();
    if (shareless && !gone && !killed && now_ms() - shareless > SHARELESS_MS) {
      static const char why[] = "virtiofsd ended: the machine has lost a directory that it shares.\n";
      if (write(errors_file, why, sizeof why - 1) < 0) error_bytes = STDERR_BYTES;
      kill(qemu, SIGKILL);
      killed = true;
    }
    bool said = end.said;
    if (p[1].revents && !take_state(state)) state = -1;
    if (end.said != said) heard = now_ms();
    if (p[2].revents) {
      char text[1024];
      ssize_t length = read(errors, text, sizeof text);
      if (length > 0) take_complaint(text, length);
      if (length > 0 && error_bytes < STDERR_BYTES) { error_bytes += length; if (write(errors_file, text, length) < 0) error_bytes = STDERR_BYTES; }
      if (length == 0 || (length < 0 && errno != EAGAIN)) errors = -1;
    }
    for (int i = 0; i < 2; i++) if (p[3 + i].revents) { carry(&carriers[i]); heard = now_ms(); }
    bool complete = carriers[0].bytes >= end.bytes[0] && carriers[1].bytes >= end.bytes[1] && carriers[0].start == carriers[0].end && carriers[1].start == carriers[1].end;
    /* While conmon is slow to take what is held, patience does not run out. */
    if (end.said && !killed && !gone && (complete || (!held && now_ms() - heard > SILENCE_MS))) { kill(qemu, SIGKILL); killed = true; }
    if (gone && carriers[0].from < 0 && carriers[1].from < 0 && !held) break;
  }
  if (state >= 0) take_state(state);
  /* The word may lie behind more than was read by now; taken for a reboot, a power-off would start the machine again. */
  char late[1024];
  for (ssize_t length; errors >= 0 && (length = read(errors, late, sizeof late)) > 0;) take_complaint(late, length);
  if (!end.said && own_init && WIFEXITED(status) && WEXITSTATUS(status) == 0) { end.code = 0; strcpy(end.reason, powered_off ? "poweroff" : "reboot"); }
  if (!end.said && own_init && powered_off && WIFEXITED(status) && WEXITSTATUS(status) == PANICKED) { end.code = 1; strcpy(end.reason, "panic"); }
  if (!end.said && WIFSIGNALED(status)) { end.code = 128 + WTERMSIG(status); strcpy(end.reason, "killed"); }
  char text[64];
  snprintf(text, sizeof text, "%d %s %d\n", end.code, end.reason, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  if (write(reason_file, text, strlen(text)) > 0) fsync(reason_file);
  _exit(end.code);
}

/* ---- create ---- */

/* Hands the master of a new terminal to conmon. */
static int give_terminal(const char *socket_path) {
  int master, slave, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  errno = 0;
  if (strlen(socket_path) >= sizeof address.sun_path) vm_bail("the console socket's path is too long");
  strcpy(address.sun_path, socket_path);
  if (openpty(&master, &slave, NULL, NULL, NULL) || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) vm_bail("console socket");
  make_raw(slave);
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = {0};
  struct iovec data = {"/dev/ptmx", 9};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.head), &master, sizeof master);
  if (sendmsg(fd, &message, 0) < 0) vm_bail("console socket");
  close(fd);
  close(master);
  fcntl(slave, F_SETFD, FD_CLOEXEC);
  return slave;
}

static int create_file(const char *name) {
  unlink(name);
  int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) vm_bail("%s", name);
  return fcntl(fd, F_DUPFD_CLOEXEC, 100);
}

static void write_number(int fd, long number) {
  char text[32];
  int length = snprintf(text, sizeof text, "%ld", number);
  if (write(fd, text, length) != length) vm_bail("pid file");
  close(fd);
}

static void make_pipe(int ends[2], const char *key) {
  if (pipe2(ends, O_CLOEXEC)) vm_bail("pipe");
  int high = fcntl(ends[0], F_DUPFD_CLOEXEC, 100);
  if (high < 0) vm_bail("pipe");
  close(ends[0]);
  ends[0] = high;
  hand_over(ends[1], atoi(first(key)));
}

/* The watcher from its birth; says 'R' on `ready` when QEMU was executed. */
__attribute__((noreturn)) static void be_watcher(const char *console_socket, int ready) {
  uid_t uid = strtoul(first("uid"), NULL, 10);
  gid_t gid = strtoul(first("gid"), NULL, 10);
  errno = 0;
  if (!uid || !gid) vm_bail("a machine never runs as root");
  setsid();
  int in = fcntl(0, F_DUPFD_CLOEXEC, 100), out = fcntl(1, F_DUPFD_CLOEXEC, 100), err = fcntl(2, F_DUPFD_CLOEXEC, 100);
  if (console_socket) {
    int slave = give_terminal(console_socket);
    in = fcntl(slave, F_DUPFD_CLOEXEC, 100);
    out = fcntl(slave, F_DUPFD_CLOEXEC, 100);
    close(slave);
  }
  open_taps();
  open_files();
  open_sockets();
  shares_open(hand_over);
  int ram = open_ram(), ram_sockets[2] = {-1, -1};
  int reason_file = create_file("reason"), errors_file = create_file("qemu.err"), pid_file = create_file("qemu.pid");
  int out_pipe[2], err_pipe[2], state_pipe[2], error_pipe[2], exec_pipe[2], alive[2];
  make_pipe(out_pipe, "stdout");
  make_pipe(err_pipe, "stderr");
  make_pipe(state_pipe, "state");
  if (pipe2(error_pipe, O_CLOEXEC) || pipe2(exec_pipe, O_CLOEXEC) || pipe2(alive, O_CLOEXEC)) vm_bail("pipe");
  if (ram >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ram_sockets)) vm_bail("socket");
  for (int i = 0; ram >= 0 && i < 2; i++) { /* out of the way of QEMU's numbers */
    int low = ram_sockets[i];
    ram_sockets[i] = fcntl(low, F_DUPFD_CLOEXEC, 100);
    close(low);
  }
  join_cgroups(); /* only now: its list of devices does not have what was opened */
  shares_start(error_pipe[1]);
  enter_jail(uid, gid);
  if (RULE_VM_NAMESPACES && unshare(CLONE_NEWPID)) vm_bail("pid namespace");
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) vm_bail("/dev/null");
  pid_t qemu = fork();
  if (qemu < 0) vm_bail("fork");
  if (qemu == 0) {
    close(alive[1]);
    close(exec_pipe[0]);
    dup2(in, 0);
    dup2(null, 1);
    /* Until it is executed it complains where the watcher listens, then into its own file. */
    dup2(exec_pipe[1], 2);
    int complaints = fcntl(exec_pipe[1], F_DUPFD_CLOEXEC, 100);
    moves[move_count].from = fcntl(error_pipe[1], F_DUPFD_CLOEXEC, 100);
    moves[move_count++].to = 2;
    become_qemu(uid, gid, alive[0], complaints, ram_sockets[1]);
  }
  close(alive[0]);
  close(exec_pipe[1]);
  close(error_pipe[1]);
  if (ram >= 0) close(ram_sockets[1]);
  for (size_t i = 0; i < move_count; i++) close(moves[i].from);
  close(in);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  drop_privileges(uid, gid);
  char said[400];
  ssize_t length = read(exec_pipe[0], said, sizeof said - 1);
  errno = 0;
  if (length > 0) { said[length] = 0; vm_bail("%s", said); }
  close(exec_pipe[0]);
  write_number(pid_file, qemu);
  if (write(ready, "R", 1) != 1) vm_bail("ready");
  close(ready);
  dup2(null, 0);
  dup2(null, 1);
  dup2(null, 2);
  close(null);
  if (ram >= 0) {
    /* A QEMU that got no memory ends by itself, and says so. */
    ram_answer(ram_sockets[0], ram, RAM_MS);
    close(ram_sockets[0]);
    close(ram);
  }
  carriers[0].from = out_pipe[0];
  carriers[0].to = out;
  carriers[0].terminal = console_socket != NULL;
  carriers[1].from = err_pipe[0];
  carriers[1].to = err;
  size_t at = 0;
  own_init = plan_next("own-init", &at) != NULL;
  watch(qemu, state_pipe[0], error_pipe[0], reason_file, errors_file);
}

/* `vm tsc`: the rate of the time stamp counter in kHz. An emulated guest sees the host's counter and cannot measure it;
 * its clock is as good as this number. */
static int measure_counter(void) {
#ifdef __x86_64__
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC_RAW, &from);
  uint64_t ticks = __builtin_ia32_rdtsc();
  usleep(100 * 1000);
  clock_gettime(CLOCK_MONOTONIC_RAW, &to);
  ticks = __builtin_ia32_rdtsc() - ticks;
  double nanoseconds = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
  printf("%.0f\n", ticks / nanoseconds * 1e6);
  return 0;
#else
  return 1;
#endif
}

int vm_main(int argc, char **argv) {
  const char *bundle = NULL, *pid_file = NULL, *console_socket = NULL;
  if (argc < 2) return 2;
  if (!strcmp(argv[1], "tsc")) return measure_counter();
  if (strcmp(argv[1], "create")) return 0; /* kill, delete, state: the daemon knows better ways */
  for (int i = 2; i + 1 < argc; i++) {
    if (!strcmp(argv[i], "--bundle")) bundle = argv[++i];
    else if (!strcmp(argv[i], "--pid-file")) pid_file = argv[++i];
    else if (!strcmp(argv[i], "--console-socket")) console_socket = argv[++i];
  }
  errno = 0;
  if (!bundle || !pid_file) vm_bail("usage: vm create --bundle DIR --pid-file FILE [--console-socket SOCKET] ID");
  if (chdir(bundle)) vm_bail("%s", bundle);
  umask(0077);
  read_plan();
  int ready[2];
  char byte;
  if (pipe2(ready, O_CLOEXEC)) vm_bail("pipe");
  pid_t watcher = fork();
  if (watcher < 0) vm_bail("fork");
  if (watcher == 0) {
    close(ready[0]);
    be_watcher(console_socket, fcntl(ready[1], F_DUPFD_CLOEXEC, 100));
  }
  close(ready[1]);
  if (read(ready[0], &byte, 1) != 1) return 1; /* the watcher said why */
  int fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) vm_bail("%s", pid_file);
  write_number(fd, watcher);
  return 0;
}
