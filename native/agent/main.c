/* PID 1 of a machine, and beside an init of the image's own its child: brings the guest up as the host says, runs the workload and what is executed beside it, reports how
 * it ended. Streams of the workload have ports of their own and do not need the host's daemon; everything else is frames
 * on one port that somebody may or may not listen to. Nothing here waits for a full port. */
#include "agent.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef AGENT_VERSION
#define AGENT_VERSION "1"
#endif

enum { MAX_SESSIONS = 256, CHUNK = 32 * 1024, OUT_QUEUE = 512 * 1024, STDIN_WINDOW = 256 * 1024, GRANT_STEP = 64 * 1024 };
enum { EXIT_DRAIN_MS = 5000, LINGER_MS = 15000, CONSOLE_PAUSE_MS = 100 };

struct session {
  bool used, closing, exited, input_ended;
  uint32_t id, window, owed;
  int status;
  struct child child;
  struct buffer input;
};

/* One stream of the workload on its way to or from a port. */
struct stream { int port; struct buffer held; uint64_t bytes; };

static struct session sessions[MAX_SESSIONS];
static struct { bool created, started, exited, done; int status; long long exited_at, oom_before; struct child child; struct stream in, out, err; } work;
static struct { int fd; bool listening, synced; struct buffer in, out; } link_;
static int state_port = -1;
static unsigned char nonce[NONCE_BYTES];
static bool ready, resumed, with_terminal, own_init;
/* Until then nobody has the console open; it would only tell that again and again. */
static long long console_back_at;
static char *program_name;

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* ---- frames ---- */

static void send_frame(uint8_t type, uint32_t session, const void *data, uint32_t length) {
  if (!link_.synced) return;
  unsigned char header[HEADER_BYTES];
  memcpy(header, &length, 4);
  header[4] = type;
  memcpy(header + 5, &session, 4);
  buffer_append(&link_.out, header, sizeof header);
  buffer_append(&link_.out, data, length);
}

__attribute__((format(printf, 3, 4))) static void add_field(struct buffer *b, const char *name, const char *format, ...) {
  char text[600];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  buffer_append(b, name, strlen(name));
  buffer_append(b, "=", 1);
  buffer_append(b, text, strlen(text) + 1);
}

static void send_fields(uint8_t type, uint32_t session, struct buffer *b) {
  send_frame(type, session, b->data + b->start, buffer_length(b));
  free(b->data);
}

static void send_ok(uint32_t session) { send_frame(FRAME_OK, session, "", 0); }

static void send_failure(uint32_t session, const struct failure *f) {
  struct buffer b = {0};
  add_field(&b, "code", "%s", f->code);
  add_field(&b, "message", "%s", f->message);
  send_fields(FRAME_ERROR, session, &b);
}

static void send_error(uint32_t session, const char *code, const char *message) {
  struct failure f;
  fail(&f, code, "%s", message);
  send_failure(session, &f);
}

static void send_hello(void) {
  struct buffer b = {0};
  add_field(&b, "protocol-min", "%d", PROTOCOL_MIN);
  add_field(&b, "protocol-max", "%d", PROTOCOL_MAX);
  add_field(&b, "agent", "%s", AGENT_VERSION);
  add_field(&b, "state", "%s", work.exited ? "exited" : work.started ? "running" : work.created ? "created" : ready ? "ready" : "booted");
  for (int i = 0; i < MAX_SESSIONS; i++) if (sessions[i].used && !sessions[i].closing) add_field(&b, "session", "%u", sessions[i].id);
  send_fields(FRAME_HELLO, 0, &b);
}

/* ---- sessions ---- */

static struct session *find_session(uint32_t id) {
  for (int i = 0; i < MAX_SESSIONS; i++) if (sessions[i].used && sessions[i].id == id) return &sessions[i];
  return NULL;
}

static void close_fd(int *fd) { if (*fd >= 0) close(*fd); *fd = -1; }

static void close_input(struct child *c) {
  if (c->in >= 0 && c->in != c->out) close(c->in);
  c->in = -1;
}

static void close_output(struct child *c) {
  if (c->in == c->out) c->in = -1;
  close_fd(&c->out);
}

static void release(struct session *s) {
  close_input(&s->child);
  close_output(&s->child);
  close_fd(&s->child.err);
  free(s->input.data);
  *s = (struct session){0};
}

static int exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

/* An exit is told when all output went out; what a process left behind in the background may still hold the pipes. */
static void conclude(struct session *s) {
  if (!s->exited) return;
  if (!s->closing && (s->child.out >= 0 || s->child.err >= 0)) return;
  if (!s->closing) {
    struct buffer b = {0};
    add_field(&b, "code", "%d", exit_code(s->status));
    send_fields(FRAME_EXIT, s->id, &b);
  }
  release(s);
}

static void start_exec(uint32_t id, struct fields f) {
  struct session *s = NULL;
  struct failure why;
  if (id == 0 || find_session(id)) return send_error(id, "invalid", "the session number is taken");
  for (int i = 0; i < MAX_SESSIONS && !s; i++) if (!sessions[i].used) s = &sessions[i];
  if (!s) return send_error(id, "exhausted", "too many processes are executed at once");
  if (!work.started || work.exited) return send_error(id, "wrongState", "the workload is not running");
  struct child c;
  if (launch(f, false, &c, &why)) return send_failure(id, &why);
  *s = (struct session){.used = true, .id = id, .window = field_number(f, "window", STDIN_WINDOW), .child = c};
  send_ok(id);
}

static void take_stdin(struct session *s, const char *data, size_t length) {
  if (s->input_ended || s->child.in < 0) { s->owed += length; return; }
  if (buffer_length(&s->input) + length > STDIN_WINDOW) return; /* the host broke its window: its loss */
  buffer_append(&s->input, data, length);
}

static void pump_exec_input(struct session *s) {
  while (buffer_length(&s->input) && s->child.in >= 0) {
    ssize_t wrote = write(s->child.in, s->input.data + s->input.start, buffer_length(&s->input));
    if (wrote < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (wrote < 0) { s->owed += buffer_length(&s->input); buffer_reset(&s->input); close_input(&s->child); break; }
    buffer_take(&s->input, wrote);
    s->owed += wrote;
  }
  if (s->owed >= GRANT_STEP || (s->owed && !buffer_length(&s->input))) {
    send_frame(FRAME_GRANT, s->id, &s->owed, 4);
    s->owed = 0;
  }
  if (s->input_ended && !buffer_length(&s->input) && s->child.in != s->child.out) close_input(&s->child);
}

static void pump_exec_output(struct session *s, bool error_stream) {
  int fd = error_stream ? s->child.err : s->child.out;
  char data[CHUNK];
  while (fd >= 0 && s->window && buffer_length(&link_.out) < OUT_QUEUE) {
    ssize_t length = read(fd, data, s->window < CHUNK ? s->window : CHUNK);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) {
      if (!s->exited) return;
      length = 0;
    }
    if (length <= 0) {
      if (error_stream) close_fd(&s->child.err); else close_output(&s->child);
      return;
    }
    s->window -= length;
    send_frame(error_stream ? FRAME_STDERR : FRAME_STDOUT, s->id, data, length);
  }
}

/* ---- the workload ---- */

static long long oom_kills(void) {
  static char text[16384];
  char *at;
  return read_file("/proc/vmstat", text, sizeof text) > 0 && (at = strstr(text, "\noom_kill ")) ? atoll(at + 10) : 0;
}

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) die("%s: %s", path, strerror(errno));
  close(fd);
}

/* nonce=HEX: the host's word for this machine from now on. Its memory may be a copy of another's, which has a word of its own. */
static int take_nonce(struct fields f, struct failure *why) {
  const char *text = field(f, "nonce", "");
  unsigned char fresh[NONCE_BYTES];
  if (*text && strlen(text) != 2 * NONCE_BYTES) return fail(why, "invalid", "malformed nonce");
  for (int i = 0; *text && i < NONCE_BYTES; i++) {
    unsigned byte;
    if (sscanf(text + 2 * i, "%2x", &byte) != 1) return fail(why, "invalid", "malformed nonce");
    fresh[i] = byte;
  }
  if (*text) memcpy(nonce, fresh, sizeof nonce);
  return 0;
}

/* All that needs no device and nothing of this machine alone: the state that a template is made of. */
static void do_prepare(uint32_t id) {
  struct failure why;
  if (ready) return send_error(id, "wrongState", "the guest is set up already");
  if (load_ahead(&why)) return send_failure(id, &why);
  resumed = true;
  send_ok(id);
}

static void do_setup(uint32_t id, struct fields f) {
  struct failure why;
  if (ready) return send_error(id, "wrongState", "the guest is set up already");
  if (take_nonce(f, &why) || system_setup(f, resumed, &why)) return send_failure(id, &why);
  char host[80];
  snprintf(host, sizeof host, "%.70s\n", field(f, "hostname", ""));
  write_text("/files/hostname", host);
  write_text("/files/hosts", field(f, "hosts", ""));
  write_text("/files/resolv.conf", field(f, "resolv-conf", ""));
  ready = true;
  send_ok(id);
}

/* PID 1 is the image's init from now on, and this process one that must outlive what an init ends at shutdown: by the
 * first character of its name (systemd.io/ROOT_STORAGE_DAEMONS). */
static void beside_init(void) {
  *program_name = '@';
  write_file("/proc/self/oom_score_adj", "-1000");
  fcntl(link_.fd, F_SETOWN, getpid());
}

static void do_create(uint32_t id, struct fields f) {
  struct failure why;
  if (!ready || work.created) return send_error(id, "wrongState", "there is no place for a workload");
  set_pids_limit(field_number(f, "pids", 0));
  if (launch(f, true, &work.child, &why)) return send_failure(id, &why);
  workload_pid = work.child.pid;
  if (workload_pid == 1) beside_init();
  with_terminal = field_number(f, "terminal", 0);
  own_init = field_number(f, "own-init", 0);
  work.created = true;
  work.oom_before = oom_kills();
  send_ok(id);
}

static void report_state(const char *text) {
  for (int attempt = 0; attempt < 1000 && write(state_port, text, strlen(text)) < 0 && errno == EAGAIN; attempt++) usleep(1000);
}

static void do_start(uint32_t id) {
  struct failure why;
  if (!work.created || work.started || work.exited) return send_error(id, "wrongState", "the workload was started already");
  work.started = true;
  if (own_init) report_state("own-init\n");
  if (launched(&work.child, &why)) send_failure(id, &why); else send_ok(id);
}

static void pump_out(struct stream *s, int *fd, bool master) {
  char data[CHUNK];
  for (int turn = 0; turn < 16; turn++) {
    while (buffer_length(&s->held)) {
      ssize_t wrote = write(s->port, s->held.data + s->held.start, buffer_length(&s->held));
      if (wrote <= 0) return;
      buffer_take(&s->held, wrote);
      s->bytes += wrote;
    }
    if (*fd < 0) return;
    ssize_t length = read(*fd, data, sizeof data);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    /* An init hangs its console up and opens it again (vhangup(2)). */
    if (length < 0 && errno == EIO && own_init) { console_back_at = now_ms() + CONSOLE_PAUSE_MS; return; }
    if (length <= 0) {
      if (master) close_output(&work.child); else close_fd(fd);
      return;
    }
    ssize_t wrote = write(s->port, data, length);
    if (wrote < 0) wrote = 0;
    s->bytes += wrote;
    if (wrote < length) { buffer_append(&s->held, data + wrote, length - wrote); return; }
  }
}

static void pump_in(void) {
  struct stream *s = &work.in;
  char data[CHUNK];
  for (int turn = 0; turn < 16 && work.child.in >= 0; turn++) {
    while (buffer_length(&s->held)) {
      ssize_t wrote = write(work.child.in, s->held.data + s->held.start, buffer_length(&s->held));
      if (wrote < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (wrote < 0) { buffer_reset(&s->held); close_input(&work.child); return; }
      buffer_take(&s->held, wrote);
    }
    ssize_t length = read(s->port, data, sizeof data);
    if (length < 0) return;
    /* The host end was closed: end of input. A terminal has no such thing. */
    if (length == 0) { if (with_terminal) work.child.in = -1; else close_input(&work.child); return; }
    buffer_append(&s->held, data, length);
  }
}

static void finish(void) {
  char text[160];
  work.done = true;
  system_teardown();
  int code = exit_code(work.status);
  const char *reason = code == 137 && oom_kills() > work.oom_before ? "oom" : WIFSIGNALED(work.status) ? "killed" : "exited";
  snprintf(text, sizeof text, "exit %d %s %llu %llu\n", code, reason, (unsigned long long)work.out.bytes, (unsigned long long)work.err.bytes);
  report_state(text);
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (work.created && pid == work.child.pid) {
      work.exited = true;
      work.status = status;
      work.exited_at = now_ms();
      workload_pid = 0;
      continue;
    }
    for (int i = 0; i < MAX_SESSIONS; i++)
      if (sessions[i].used && !sessions[i].exited && sessions[i].child.pid == pid) { sessions[i].exited = true; sessions[i].status = status; }
  }
}

/* ---- requests ---- */

static void end_machine(uint32_t id, const char *record) {
  send_ok(id);
  if (write(link_.fd, link_.out.data + link_.out.start, buffer_length(&link_.out)) < 0) buffer_reset(&link_.out);
  if (workload_pid > 1) { kill(workload_pid, SIGKILL); waitpid(workload_pid, NULL, 0); }
  if (workload_pid == 1) sync(); else system_teardown();
  report_state(record);
  sync();
  reboot(RB_POWER_OFF);
}

static void do_signal(uint32_t id, struct fields f) {
  uint32_t target = field_number(f, "target", 0);
  struct session *s = target ? find_session(target) : NULL;
  pid_t pid = target ? (s && !s->exited ? s->child.pid : 0) : work.created && !work.exited ? work.child.pid : 0;
  int number = field_number(f, "signal", 0);
  if (own_init && !target && number == SIGKILL && pid > 0) return end_machine(id, "exit 137 killed 0 0\n"); /* nothing kills PID 1 */
  if (pid <= 0) return send_error(id, "wrongState", "there is no such process");
  if (number < 1 || number > 64 || kill(pid, number)) return send_error(id, "invalid", "the signal could not be sent");
  send_ok(id);
}

static void do_stats(uint32_t id) {
  char text[4096], pids[64] = "0";
  long long total = 0, available = 0;
  struct buffer b = {0};
  if (read_file("/proc/meminfo", text, sizeof text) > 0) {
    char *at = strstr(text, "MemTotal:");
    if (at) total = atoll(at + 9) * 1024;
    if ((at = strstr(text, "MemAvailable:"))) available = atoll(at + 13) * 1024;
  }
  struct sysinfo whole;
  if (read_file(WORKLOAD_CGROUP "/pids.current", pids, sizeof pids) < 0 && sysinfo(&whole) == 0) snprintf(pids, sizeof pids, "%u", whole.procs);
  add_field(&b, "memory-total", "%lld", total);
  add_field(&b, "memory-available", "%lld", available);
  add_field(&b, "pids", "%d", atoi(pids));
  add_field(&b, "oom-kills", "%lld", oom_kills());
  send_fields(FRAME_OK, id, &b);
}

static void handle(uint8_t type, uint32_t id, const char *data, uint32_t length) {
  struct fields f = {data, length};
  struct session *s = NULL;
  struct failure why;
  bool raw = type == FRAME_PING || type == FRAME_STDIN || type == FRAME_WINDOW;
  if (!raw && !fields_valid(f)) return send_error(id, "invalid", "malformed fields");
  switch (type) {
  case FRAME_WELCOME: break;
  case FRAME_PING: send_frame(FRAME_PONG, id, data, length); break;
  case FRAME_SETUP: do_setup(id, f); break;
  case FRAME_PREPARE: do_prepare(id); break;
  case FRAME_CREATE: do_create(id, f); break;
  case FRAME_START: do_start(id); break;
  case FRAME_EXEC: start_exec(id, f); break;
  case FRAME_STDIN: if ((s = find_session(id))) take_stdin(s, data, length); break;
  case FRAME_STDIN_END: if ((s = find_session(id))) s->input_ended = true; break;
  case FRAME_WINDOW:
    if ((s = find_session(id)) && length == 4) { uint32_t more; memcpy(&more, data, 4); if (more <= MAX_PAYLOAD && s->window <= MAX_PAYLOAD) s->window += more; }
    break;
  case FRAME_RESIZE: {
    uint32_t target = field_number(f, "target", 0);
    int fd = target ? ((s = find_session(target)) ? s->child.in : -1) : with_terminal ? work.child.out : -1;
    if (fd >= 0) set_terminal_size(fd, field_number(f, "rows", 0), field_number(f, "columns", 0));
    break;
  }
  case FRAME_SIGNAL: do_signal(id, f); break;
  case FRAME_STATS: do_stats(id); break;
  case FRAME_CLOSE: if ((s = find_session(id))) { s->closing = true; if (!s->exited) kill(s->child.pid, SIGKILL); } break;
  case FRAME_SHUTDOWN: end_machine(id, "poweroff\n"); break;
  case FRAME_CLOCK: if (set_clock(f, &why)) send_failure(id, &why); else send_ok(id); break;
  case FRAME_UPDATE: /* an init of its own governs its groups */
    if (!own_init && set_pids_limit(field_number(f, "pids", 0))) send_error(id, "internal", "the limit was not taken"); else send_ok(id); break;
  default: send_error(id, "unsupported", "this agent does not know the request");
  }
}

/* ---- the link ---- */

/* A host that connects anew sends the boot's nonce and 8 bytes of its own; whatever was under way before is void. */
static bool take_sync(void) {
  char *data = link_.in.data + link_.in.start;
  size_t length = buffer_length(&link_.in);
  char *found = length >= SYNC_BYTES ? memmem(data, length, nonce, NONCE_BYTES) : NULL;
  if (!found || (size_t)(data + length - found) < SYNC_BYTES) return false;
  char word[SYNC_BYTES];
  memcpy(word, found, SYNC_BYTES);
  buffer_take(&link_.in, found - data + SYNC_BYTES);
  buffer_reset(&link_.out);
  link_.synced = true;
  buffer_append(&link_.out, word, SYNC_BYTES);
  send_hello();
  return true;
}

static void receive(void) {
  for (;;) {
    char data[CHUNK];
    ssize_t length = read(link_.fd, data, sizeof data);
    if (length == 0) { link_.listening = false; return; }
    if (length < 0) return;
    buffer_append(&link_.in, data, length);
    while (take_sync()) {}
    while (link_.synced && buffer_length(&link_.in) >= HEADER_BYTES) {
      char *at = link_.in.data + link_.in.start;
      uint32_t size, session;
      memcpy(&size, at, 4);
      memcpy(&session, at + 5, 4);
      if (size > MAX_PAYLOAD) { link_.synced = false; break; }
      if (buffer_length(&link_.in) < HEADER_BYTES + size) break;
      handle(at[4], session, at + HEADER_BYTES, size);
      buffer_take(&link_.in, HEADER_BYTES + size);
    }
    if (!link_.synced && buffer_length(&link_.in) > SYNC_BYTES) buffer_take(&link_.in, buffer_length(&link_.in) - SYNC_BYTES + 1);
  }
}

static void transmit(void) {
  while (buffer_length(&link_.out)) {
    ssize_t wrote = write(link_.fd, link_.out.data + link_.out.start, buffer_length(&link_.out));
    if (wrote <= 0) return;
    buffer_take(&link_.out, wrote);
  }
}

/* ---- boot ---- */

static int open_port(const char *wanted) {
  for (int attempt = 0; attempt < 5000; attempt++) {
    DIR *dir = opendir("/sys/class/virtio-ports");
    for (struct dirent *e; dir && (e = readdir(dir));) {
      char path[300], name[64];
      snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
      if (e->d_name[0] == '.' || read_file(path, name, sizeof name) < 0) continue;
      name[strcspn(name, "\n")] = 0;
      if (strcmp(name, wanted)) continue;
      snprintf(path, sizeof path, "/dev/%s", e->d_name);
      int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
      if (fd < 0) continue;
      closedir(dir);
      return fd;
    }
    if (dir) closedir(dir);
    usleep(1000);
  }
  die("no port %s", wanted);
}

static void read_nonce(void) {
  char text[4096], *at;
  if (read_file("/proc/cmdline", text, sizeof text) < 0 || !(at = strstr(text, "berth.nonce="))) die("no nonce");
  for (int i = 0; i < NONCE_BYTES; i++) {
    unsigned byte;
    if (sscanf(at + 12 + 2 * i, "%2x", &byte) != 1) die("no nonce");
    nonce[i] = byte;
  }
}

static void boot(void) {
  struct failure why;
  static const char *const dirs[] = {"/proc", "/sys", "/dev", "/lower", "/upper", "/root", "/files"};
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) mkdir(dirs[i], 0755);
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) || mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)
      || mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL)) die("mount: %s", strerror(errno));
  /* A kernel without a console starts init without standard streams; their numbers must not become something else. */
  for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd < 2; fd = open("/dev/null", O_RDWR)) {}
  read_nonce();
  if (load_modules("early", &why)) die("%s", why.message);
  link_.fd = open_port("berth.agent");
  link_.listening = true;
  state_port = open_port("berth.state");
  work.in.port = open_port("berth.stdin");
  work.out.port = open_port("berth.stdout");
  work.err.port = open_port("berth.stderr");
  work.child = (struct child){.in = -1, .out = -1, .err = -1, .go = -1, .report = -1};
}

/* ---- the loop ---- */

enum { AT_SIGNALS, AT_LINK, AT_IN, AT_OUT, AT_ERR, AT_SESSIONS };
static struct pollfd polled[AT_SESSIONS + 3 * MAX_SESSIONS];

static void watch(size_t at, int fd, short events) { polled[at] = (struct pollfd){events ? fd : -1, events, 0}; }

static size_t prepare_poll(void) {
  struct child *c = &work.child;
  watch(AT_LINK, link_.fd, link_.listening ? POLLIN | (buffer_length(&link_.out) ? POLLOUT : 0) : 0);
  bool reading = work.started && c->in >= 0;
  if (reading && buffer_length(&work.in.held)) watch(AT_IN, c->in, POLLOUT);
  else watch(AT_IN, work.in.port, reading ? POLLIN : 0);
  if (buffer_length(&work.out.held)) watch(AT_OUT, work.out.port, POLLOUT); else watch(AT_OUT, c->out, work.started && c->out >= 0 && now_ms() >= console_back_at ? POLLIN : 0);
  if (buffer_length(&work.err.held)) watch(AT_ERR, work.err.port, POLLOUT); else watch(AT_ERR, c->err, work.started && c->err >= 0 ? POLLIN : 0);
  size_t count = AT_SESSIONS;
  for (int i = 0; i < MAX_SESSIONS; i++) {
    struct session *s = &sessions[i];
    bool open = s->used && !s->closing;
    bool flows = open && link_.synced && s->window && buffer_length(&link_.out) < OUT_QUEUE;
    if (!open) continue;
    if (buffer_length(&s->input) && s->child.in >= 0) watch(count++, s->child.in, POLLOUT);
    if (flows && s->child.out >= 0) watch(count++, s->child.out, POLLIN);
    if (flows && s->child.err >= 0) watch(count++, s->child.err, POLLIN);
  }
  return count;
}

static int patience(void) {
  if (work.done) return 1000;
  if (console_back_at > now_ms()) return CONSOLE_PAUSE_MS;
  /* A port that hangs up is asked again now and then, should its signal be lost. */
  return work.exited ? 50 : link_.listening ? -1 : 1000;
}

static void serve_sessions(void) {
  for (int i = 0; i < MAX_SESSIONS; i++) {
    struct session *s = &sessions[i];
    if (!s->used) continue;
    pump_exec_input(s);
    if (link_.synced && !s->closing) { pump_exec_output(s, false); pump_exec_output(s, true); }
    conclude(s);
  }
}

/* The same program inside an image: before an init of its own, and beside the workload. */
static const struct { const char *name; int (*run)(int, char **); } jobs[] = {
  {"boot", boot_main}, {"ready", ready_main}, {"off", off_main}, {"copy-out", copy_out_main}, {"copy-in", copy_in_main}, {"processes", processes_main},
};

int main(int argc, char **argv) {
  sigset_t set;
  for (size_t i = 0; argc > 1 && i < sizeof jobs / sizeof *jobs; i++)
    if (strcmp(argv[1], jobs[i].name) == 0) return jobs[i].run(argc - 1, argv + 1);
  program_name = argc > 0 ? argv[0] : (char[2]){0};
  boot();
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGIO);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  polled[AT_SIGNALS] = (struct pollfd){signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), POLLIN, 0};
  fcntl(link_.fd, F_SETOWN, getpid());
  fcntl(link_.fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
  bool idle_loaded = false;
  for (long long done_at = 0;;) {
    size_t count = prepare_poll();
    int events = poll(polled, count, idle_loaded || !work.created ? patience() : 0);
    if (events == 0 && work.created && !idle_loaded) {
      struct failure ignored;
      load_modules("idle", &ignored);
      idle_loaded = true;
    }
    struct signalfd_siginfo info;
    while (read(polled[AT_SIGNALS].fd, &info, sizeof info) > 0) if (info.ssi_signo == SIGIO) link_.listening = true;
    if (events == 0) link_.listening = true;
    if ((polled[AT_LINK].revents & POLLHUP) && !(polled[AT_LINK].revents & POLLIN)) { link_.listening = link_.synced = false; buffer_reset(&link_.out); }
    reap();
    if (link_.listening) receive();
    if (work.started && work.child.in >= 0) pump_in();
    if (work.started) { pump_out(&work.out, &work.child.out, with_terminal); pump_out(&work.err, &work.child.err, false); }
    serve_sessions();
    if (link_.listening) transmit();
    bool drained = work.child.out < 0 && work.child.err < 0;
    if (work.exited && !work.done && ((drained || now_ms() - work.exited_at > EXIT_DRAIN_MS) && !buffer_length(&work.out.held) && !buffer_length(&work.err.held))) { finish(); done_at = now_ms(); }
    /* The host ends the machine as soon as it has the record; should it not, nothing is left to do here. */
    if (work.done && now_ms() - done_at > LINGER_MS) reboot(RB_POWER_OFF);
  }
}
