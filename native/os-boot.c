/* boot: the first program of an OS container. It runs inside, as the container's root, before the image's init: whatever
 * links and special files the image has lead nowhere but to itself. It makes the instance its own at its first boot
 * (host name, machine id, host keys, users, files), says where the resolver is at each, and becomes the init.
 *
 *   berth-native boot SEED -- INIT [ARGUMENT]...
 *
 * SEED is a sequence of records, each a u32 (little endian) count of fields and, for each, a u32 length and its bytes:
 *   instance ID HOSTNAME HOSTS         always there, first; another ID than last time makes it a first boot
 *   resolver TEXT SYSTEMD              every boot: resolv.conf(5), and the same for systemd-resolved
 *   file PATH MODE OWNER GROUP APPEND CONTENT           first boot
 *   user NAME UID GECOS HOME SHELL PASSWORD GROUPS SUDO KEYS   first boot; empty fields take defaults
 *   cloud META USER                    first boot, for an image with cloud-init
 *   command WORD...                    once, after the init is up; output goes to /var/log/first-boot.log
 * What cannot be done is said on the console and does not keep the init from starting: who can log in can mend it. */
#include "os-boot.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_FOUND = 127, CANNOT_RUN = 126, MAX_FIELDS = 4096, MAX_SEED = 16 << 20 };

static const char STATE_DIR[] = "/var/lib/berth", STATE[] = "/var/lib/berth/instance", COMMANDS[] = "/var/lib/berth/commands";

struct field { const char *bytes; uint32_t length; };
struct record { uint32_t count; struct field fields[MAX_FIELDS + 1]; };
struct seed { const unsigned char *bytes; size_t length, at; };

void os_say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("berth: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs("\r\n", stderr);
  va_end(arguments);
}

static int next_u32(struct seed *seed, uint32_t *value) {
  if (seed->length - seed->at < 4) return 0;
  const unsigned char *b = seed->bytes + seed->at;
  *value = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  seed->at += 4;
  return 1;
}

/* Fields are copied, so that each ends with a NUL and can be a C string. */
static int next_record(struct seed *seed, struct record *record) {
  if (!next_u32(seed, &record->count) || record->count == 0 || record->count > MAX_FIELDS) return 0;
  for (uint32_t i = 0; i < record->count; i++) {
    uint32_t length;
    if (!next_u32(seed, &length) || length > seed->length - seed->at) return 0;
    char *copy = malloc((size_t)length + 1);
    if (!copy) return 0;
    memcpy(copy, seed->bytes + seed->at, length);
    copy[length] = 0;
    record->fields[i] = (struct field){copy, length};
    seed->at += length;
  }
  return 1;
}

/* --- files --- */

static void make_parents(const char *path) {
  char part[4096];
  if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part) return;
  for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    mkdir(part, 0755);
    *slash = '/';
  }
}

/* A FIFO or device in a file's place must not make the boot wait: nothing is opened that blocks. */
static int open_plain(const char *path, int flags, mode_t mode) {
  int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode);
  struct stat at;
  if (fd >= 0 && (fstat(fd, &at) != 0 || !S_ISREG(at.st_mode))) {
    close(fd);
    errno = EINVAL;
    return -1;
  }
  return fd;
}

int os_write(const char *path, const char *bytes, size_t length, mode_t mode, uid_t owner, gid_t group, int append) {
  make_parents(path);
  int fd = open_plain(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0600);
  if (fd < 0 && errno == ENOENT && !append) { /* a link to nowhere */
    unlink(path);
    fd = open_plain(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  }
  if (fd < 0) {
    os_say("cannot write %s: %s", path, strerror(errno));
    return -1;
  }
  int failed = 0;
  while (length > 0 && !failed) {
    ssize_t wrote = write(fd, bytes, length);
    if (wrote < 0 && errno != EINTR) failed = 1;
    if (wrote > 0) bytes += wrote, length -= (size_t)wrote;
  }
  failed = failed || fchown(fd, owner, group) != 0 || fchmod(fd, mode) != 0 || fsync(fd) != 0;
  if (failed) os_say("cannot write %s: %s", path, strerror(errno));
  close(fd);
  return failed ? -1 : 0;
}

static int put(const char *path, const char *text, mode_t mode) { return os_write(path, text, strlen(text), mode, 0, 0, 0); }

char *os_read(const char *path) {
  enum { MAX = 1 << 20 };
  int fd = open_plain(path, O_RDONLY, 0);
  if (fd < 0) return NULL;
  char *text = malloc(MAX + 1);
  size_t used = 0;
  ssize_t got;
  while (text && used < MAX && (got = read(fd, text + used, MAX - used)) > 0) used += (size_t)got;
  close(fd);
  if (text) text[used] = 0;
  return text;
}

/* --- what is done at the boots --- */

static void write_resolver(const struct record *r) {
  struct stat at;
  mkdir("/run/systemd", 0755);
  if (lstat("/lib/systemd/systemd-resolved", &at) == 0) put("/run/systemd/resolved.conf.d/berth.conf", r->fields[2].bytes, 0644);
  /* A link is the image's own resolver, which is told above. */
  if (lstat("/etc/resolv.conf", &at) == 0 && S_ISLNK(at.st_mode)) return;
  put("/etc/resolv.conf", r->fields[1].bytes, 0644);
}

static void new_machine_id(void) {
  unsigned char random[16];
  char text[34];
  if (getrandom(random, sizeof random, 0) != sizeof random) return os_say("no random numbers for a machine id");
  random[6] = (random[6] & 0x0f) | 0x40; /* as machine-id(5) wants it: a version 4 UUID */
  random[8] = (random[8] & 0x3f) | 0x80;
  for (int i = 0; i < 16; i++) sprintf(text + 2 * i, "%02x", random[i]);
  strcpy(text + 32, "\n");
  put("/etc/machine-id", text, 0444);
  unlink("/var/lib/dbus/machine-id");
  unlink("/var/lib/systemd/random-seed");
}

static void remove_host_keys(void) {
  DIR *dir = opendir("/etc/ssh");
  if (!dir) return;
  char path[512];
  for (struct dirent *entry; (entry = readdir(dir));)
    if (strncmp(entry->d_name, "ssh_host_", 9) == 0) {
      snprintf(path, sizeof path, "/etc/ssh/%s", entry->d_name);
      unlink(path);
    }
  closedir(dir);
}

int os_run(char *const *words, int log) {
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(log >= 0 ? log : null, 1);
    dup2(log >= 0 ? log : null, 2);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    execvp(words[0], words);
    _exit(NOT_FOUND);
  }
  int status;
  if (pid < 0) return -1;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Not RSA: it takes half a second of every first boot, and clients have known the others since 2014. */
static void make_host_keys(void) {
  if (access("/usr/bin/ssh-keygen", X_OK) != 0 || access("/etc/ssh", F_OK) != 0) return;
  static const char *const kinds[] = {"ed25519", "ecdsa"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char file[64];
    snprintf(file, sizeof file, "/etc/ssh/ssh_host_%s_key", kinds[i]);
    char *const words[] = {(char *)"/usr/bin/ssh-keygen", (char *)"-q", (char *)"-t", (char *)kinds[i], (char *)"-N", (char *)"", (char *)"-C", (char *)"", (char *)"-f", file, NULL};
    if (access(file, F_OK) != 0 && os_run(words, -1) != 0) os_say("ssh-keygen made no %s host key", kinds[i]);
  }
}

static void add_file(const struct record *r) {
  const char *owner = r->fields[3].bytes, *group = r->fields[4].bytes;
  uid_t uid = 0;
  gid_t gid = 0;
  os_ids(owner, group, &uid, &gid);
  os_write(r->fields[1].bytes, r->fields[6].bytes, r->fields[6].length, (mode_t)strtoul(r->fields[2].bytes, NULL, 8) & 07777, uid, gid, r->fields[5].bytes[0] == '1');
}

/* Addresses are there before it starts: it must not ask for others. */
static void cloud_seed(const struct record *r) {
  put("/var/lib/cloud/seed/nocloud/network-config", "config: disabled\n", 0600);
  os_write("/var/lib/cloud/seed/nocloud/meta-data", r->fields[1].bytes, r->fields[1].length, 0600, 0, 0, 0);
  os_write("/var/lib/cloud/seed/nocloud/user-data", r->fields[2].bytes, r->fields[2].length, 0600, 0, 0, 0);
}

static unsigned long commands_finished(void) {
  char *done = os_read(COMMANDS);
  return done ? strtoul(done, NULL, 10) : 0;
}

/* Goes on where it was interrupted: each command is begun at most once more than it was finished. */
static void run_commands(const struct seed *all) {
  struct seed seed = *all;
  static struct record r;
  char number[16];
  unsigned long finished = commands_finished(), at = 0;
  int log = -1;
  for (seed.at = 0; next_record(&seed, &r);) {
    if (strcmp(r.fields[0].bytes, "command") != 0 || at++ < finished) continue;
    if (log < 0) log = open("/var/log/first-boot.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    r.fields[r.count] = (struct field){NULL, 0};
    char *words[MAX_FIELDS];
    for (uint32_t i = 1; i <= r.count; i++) words[i - 1] = (char *)r.fields[i].bytes;
    int code = os_run(words, log);
    if (code != 0 && log >= 0) dprintf(log, "command %lu ended with %d\n", at, code);
    snprintf(number, sizeof number, "%lu\n", at);
    put(COMMANDS, number, 0600);
  }
}

static int has_commands(const struct seed *all) {
  struct seed seed = *all;
  static struct record r;
  unsigned long count = 0;
  for (seed.at = 0; next_record(&seed, &r);) count += strcmp(r.fields[0].bytes, "command") == 0;
  return count > commands_finished();
}

/* Stays beside the init, as its child, until all is done. */
static void after_boot(const struct seed *seed) {
  if (!has_commands(seed)) return;
  pid_t pid = fork();
  if (pid != 0) return;
  setsid();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  os_wait_until_up(300);
  run_commands(seed);
  _exit(0);
}

/* journald keeps what was said over a stop where this directory is. */
static void keep_journal(void) {
  uid_t uid = 0;
  gid_t gid = 0;
  if (access("/lib/systemd/systemd-journald", F_OK) != 0) return;
  os_ids("0", "systemd-journal", &uid, &gid);
  if (mkdir("/var/log/journal", 0755) == 0 && (chown("/var/log/journal", 0, gid) != 0 || chmod("/var/log/journal", 02755) != 0)) os_say("cannot set up /var/log/journal: %s", strerror(errno));
}

/* System V's init: no terminals are there but the console, which wants a login. */
static void console_login(void) {
  char *text = os_read("/etc/inittab"), *copy, *line, *rest = NULL;
  int there = 0;
  if (!text) return;
  size_t size = strlen(text) * 2 + 128, used = 0;
  if (!(copy = malloc(size))) return;
  for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    int login = *line != '#' && strstr(line, "getty") != NULL;
    there |= login && strstr(line, " console");
    used += (size_t)snprintf(copy + used, size - used, "%s%s\n", login && strstr(line, " tty") ? "#" : "", line);
  }
  if (!there) snprintf(copy + used, size - used, "co:2345:respawn:/sbin/getty --noclear 38400 console\n");
  put("/etc/inittab", copy, 0644);
}

/* A container's kernel is the host's, and its boot id the same at every boot of the instance: logs could not be told apart. As systemd-nspawn. */
static void new_boot_id(void) {
  static const char target[] = "/proc/sys/kernel/random/boot_id", file[] = "/run/.boot-id";
  char text[40] = "";
  int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0 || put(file, text, 0444) != 0) return;
  if (mount(file, target, NULL, MS_BIND, NULL) != 0 || mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) os_say("no boot id of its own: %s", strerror(errno));
  unlink(file);
}

static void write_names(const char *hostname, const char *hosts) {
  char name[300];
  snprintf(name, sizeof name, "%s\n", hostname);
  put("/etc/hostname", name, 0644);
  put("/etc/hosts", hosts, 0644);
}

static void first_boot(struct seed *seed, const char *hostname, const char *hosts) {
  static struct record r;
  mkdir(STATE_DIR, 0700);
  unlink(COMMANDS);
  write_names(hostname, hosts);
  new_machine_id();
  remove_host_keys();
  make_host_keys();
  keep_journal();
  console_login();
  while (next_record(seed, &r)) {
    const char *what = r.fields[0].bytes;
    if (strcmp(what, "user") == 0 && r.count == 10) os_add_user(&(struct os_user){r.fields[1].bytes, r.fields[2].bytes, r.fields[3].bytes, r.fields[4].bytes, r.fields[5].bytes, r.fields[6].bytes, r.fields[7].bytes, r.fields[8].bytes, r.fields[9].bytes});
    if (strcmp(what, "file") == 0 && r.count == 7) add_file(&r);
    if (strcmp(what, "cloud") == 0 && r.count == 3) cloud_seed(&r);
  }
}

static void prepare(struct seed *seed) {
  static struct record r;
  if (!next_record(seed, &r) || r.count != 4 || strcmp(r.fields[0].bytes, "instance") != 0) return os_say("the seed cannot be read");
  const char *id = r.fields[1].bytes, *hostname = r.fields[2].bytes, *hosts = r.fields[3].bytes;
  char mark[512];
  snprintf(mark, sizeof mark, "%s\n%s\n", id, hostname);
  const char *last = os_read(STATE);
  size_t length = strlen(id);
  int first = !last || strncmp(last, id, length) != 0 || last[length] != '\n';
  size_t body = seed->at;
  if (first) first_boot(seed, hostname, hosts);
  else if (strcmp(last, mark) != 0) write_names(hostname, hosts); /* it was renamed since */
  for (seed->at = body; next_record(seed, &r);)
    if (strcmp(r.fields[0].bytes, "resolver") == 0 && r.count == 3) write_resolver(&r);
  if (!last || strcmp(last, mark) != 0) put(STATE, mark, 0600);
  after_boot(seed);
}

int boot_main(int argc, char **argv) {
  if (argc < 4 || strcmp(argv[2], "--") != 0) {
    fprintf(stderr, "usage: boot SEED -- INIT [ARGUMENT]...\n");
    return NOT_FOUND;
  }
  umask(022);
  if (getenv("container")) new_boot_id();
  int fd = open_plain(argv[1], O_RDONLY, 0);
  struct stat at;
  if (fd >= 0 && fstat(fd, &at) == 0 && at.st_size > 0 && at.st_size <= MAX_SEED) {
    unsigned char *bytes = malloc((size_t)at.st_size);
    size_t used = 0;
    ssize_t got;
    while (bytes && used < (size_t)at.st_size && (got = read(fd, bytes + used, (size_t)at.st_size - used)) > 0) used += (size_t)got;
    close(fd);
    struct seed seed = {bytes, used, 0};
    if (bytes && getuid() == 0) prepare(&seed);
  }
  /* Nothing needs it any more; what it says may be secret. */
  umount2(argv[1], MNT_DETACH);
  unlink(argv[1]);
  execvp(argv[3], argv + 3);
  int error = errno;
  os_say("%s: %s", argv[3], strerror(error));
  return error == ENOENT || error == ENOTDIR ? NOT_FOUND : CANNOT_RUN;
}
