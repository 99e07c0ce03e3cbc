/* virtiofsd has the rights of root over one directory, as far as ids 0 to 65535 go, and speaks with a hostile guest. So it is
 * root of a user namespace of its own, over an id-mapped view of that directory: on disk the ids are those that containers
 * write there, on the host the process is nobody. Its root holds its program and the directory, it has no network and sees
 * no process, and what the guest may only read is a read-only mount. In there virtiofsd walls itself in once more.
 *
 * Plan: share=FD r|w PATH for each, share-base=FIRST_ID, share-bind=SOURCE\tTARGET and share-arg=WORD of its program. */
#include "vm.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm-share.h"

/* Each is only ever off in a test build, which must then go red. */
#ifndef RULE_SHARE_WALLS
#define RULE_SHARE_WALLS 1 /* virtiofsd is nobody on the host and sees nothing of it */
#endif
#ifndef RULE_SHARE_READ_ONLY
#define RULE_SHARE_READ_ONLY 1 /* what may not be written cannot be, whatever the guest mounts */
#endif

enum { LISTENER = 3, IDS = 65536, MAX_WORDS = 32 };
/* One descriptor for each file that the guest remembers. */
static const rlim_t MAX_FILES = 1000000;

static struct { int tree, listener, user_namespace; pid_t pid; } shares[MAX_SHARES];
static int share_count;

static int above(int fd) {
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  if (fd < 0 || high < 0) vm_bail("descriptor of a share");
  close(fd);
  return high;
}

static void write_map(pid_t pid, const char *name, unsigned long base) {
  char path[64], map[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC), length = snprintf(map, sizeof map, "0 %lu %d\n", base, IDS);
  if (fd < 0 || write(fd, map, length) != length) vm_bail("ids of a share");
  close(fd);
}

/* A user namespace that maps 0.. to `base`.., owned by root of the host: nobody inside may change it. */
static int make_user_namespace(unsigned long base) {
  int gate[2];
  char path[64];
  if (pipe2(gate, O_CLOEXEC)) vm_bail("pipe");
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid < 0) vm_bail("user namespace of a share");
  if (pid == 0) {
    char byte;
    close(gate[1]);
    if (read(gate[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  close(gate[0]);
  write_map(pid, "uid_map", base);
  write_map(pid, "gid_map", base);
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  close(gate[1]);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
  return above(fd);
}

/* A view of the directory in which the user namespace's ids stand for the same numbers on disk. */
static int open_view(const char *path, bool read_only, int user_namespace) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (fd < 0) vm_bail("%s", path);
  struct mount_attr attributes = {
    .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (read_only && RULE_SHARE_READ_ONLY ? MOUNT_ATTR_RDONLY : 0) | (RULE_SHARE_WALLS ? MOUNT_ATTR_IDMAP : 0),
    .userns_fd = RULE_SHARE_WALLS ? user_namespace : 0,
  };
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes)) {
    if (errno != EINVAL) vm_bail("%s", path);
    errno = 0;
    vm_bail("the file system of %s cannot show its files under other ids (idmapped mounts): put the root directory on ext4, xfs or btrfs", path);
  }
  return above(fd);
}

/* A connection, whose listening end is what virtiofsd takes; the name is gone before anybody could use it. */
static int open_connection(int *listener) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "share.sock"};
  unlink(address.sun_path);
  *listener = above(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(*listener, (struct sockaddr *)&address, sizeof address) || listen(*listener, 1) || connect(fd, (struct sockaddr *)&address, sizeof address)) vm_bail("socket of a share");
  unlink(address.sun_path);
  return fd;
}

void shares_open(void (*hand_over)(int fd, int to)) {
  const char *text;
  for (size_t at = 0; (text = plan_next("share", &at)); share_count++) {
    int to, used = 0;
    char mode;
    size_t first = 0;
    const char *base = plan_next("share-base", &first);
    errno = 0;
    if (!base || share_count == MAX_SHARES || sscanf(text, "%d %c %n", &to, &mode, &used) != 2 || text[used] != '/' || (mode != 'r' && mode != 'w')) vm_bail("malformed share");
    unsigned long id = strtoul(base, NULL, 10);
    if (id < IDS) vm_bail("malformed share-base");
    shares[share_count].user_namespace = make_user_namespace(id);
    shares[share_count].tree = open_view(text + used, mode == 'r', shares[share_count].user_namespace);
    hand_over(open_connection(&shares[share_count].listener), to);
  }
}

/* What acts for any user of the guest on files needs; and what virtiofsd walls itself in with. */
static void keep_capabilities(void) {
  static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_CHROOT};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) data[kept[i] / 32].permitted |= 1u << kept[i] % 32;
  for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted;
  for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++) {
    if (!(data[c / 32].permitted & 1u << c % 32) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0)) vm_bail("capabilities");
  }
  if (syscall(SYS_capset, &header, data)) vm_bail("capabilities");
}

/* As many as there may be: the host has a ceiling, which not every root may pass (in a container, say). */
static void allow_files(void) {
  struct rlimit now, files = {MAX_FILES, MAX_FILES};
  if (setrlimit(RLIMIT_NOFILE, &files) == 0 || getrlimit(RLIMIT_NOFILE, &now)) return;
  now.rlim_cur = now.rlim_max;
  setrlimit(RLIMIT_NOFILE, &now);
}

__attribute__((noreturn)) static void become_virtiofsd(int index, int complaints) {
  static char *words[MAX_WORDS + 1], *environment[] = {"LC_ALL=C", NULL};
  const char *text;
  size_t count = 0;
  struct rlimit no_core = {0, 0};
  sigset_t none;
  if (dup2(complaints, 2) < 0) _exit(1);
  for (size_t at = 0; (text = plan_next("share-arg", &at));) {
    errno = 0;
    if (count == MAX_WORDS) vm_bail("too many words for virtiofsd");
    words[count++] = (char *)text;
  }
  errno = 0;
  if (!count) vm_bail("the plan has no share-arg");
  if (sethostname("share", 5)) vm_bail("host name");
  fill_jail("share-bind");
  if (mkdir("share", 0755) || mkdir("proc", 0755) || mount("proc", "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) vm_bail("jail of virtiofsd");
  if (syscall(SYS_move_mount, shares[index].tree, "", AT_FDCWD, "share", MOVE_MOUNT_F_EMPTY_PATH)) vm_bail("shared directory");
  close_jail();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(shares[index].listener, LISTENER) < 0) vm_bail("descriptors of virtiofsd");
  if (setrlimit(RLIMIT_CORE, &no_core)) vm_bail("limits of virtiofsd");
  allow_files();
  if (RULE_SHARE_WALLS) {
    if (setns(shares[index].user_namespace, CLONE_NEWUSER)) vm_bail("user namespace of virtiofsd");
    if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0)) vm_bail("user of virtiofsd");
    keep_capabilities();
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) vm_bail("no_new_privs");
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(0);
  setsid();
  if (syscall(SYS_close_range, LISTENER + 1, ~0u, 0)) vm_bail("descriptors of virtiofsd");
  execve(words[0], words, environment);
  vm_bail("%s", words[0]);
}

void shares_start(int complaints) {
  int walls = RULE_SHARE_WALLS ? CLONE_NEWNET | CLONE_NEWIPC : 0;
  for (int i = 0; i < share_count; i++) {
    /* The mounts are root's of the host: nothing inside can change them. */
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | walls | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0) vm_bail("namespaces of virtiofsd");
    if (pid == 0) become_virtiofsd(i, complaints);
    shares[i].pid = pid;
  }
  for (int i = 0; i < share_count; i++) { close(shares[i].tree); close(shares[i].listener); close(shares[i].user_namespace); }
}

bool share_ended(void) {
  for (int i = 0; i < share_count; i++) {
    if (shares[i].pid > 0 && waitpid(shares[i].pid, NULL, WNOHANG) == shares[i].pid) shares[i].pid = -1;
    if (shares[i].pid < 0) return true;
  }
  return false;
}
