/* Carries connections of published ports on loopback, where packets cannot be translated: the kernel never forwards
 * ::1, and forwarding 127.0.0.1 would need route_localnet, which opens the host's own loopback services.
 *
 *   proxy SOCKET UID GID           goes to the background once SOCKET listens; lives until `quit`
 *
 * One client at a time talks over SOCKET, in lines; addresses are numeric:
 *   hello                          → proxy 1 PID
 *   list                           → PROTO ADDRESS PORT TARGET TPORT ... then `end`
 *   + PROTO ADDRESS PORT TARGET TPORT   and   - PROTO ADDRESS PORT    collect a change
 *   commit                         → ok, or `error N ERRNO` for the N-th `+` (from 0): then nothing changed
 *   quit
 *
 * It keeps the right to bind low ports and nothing else. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LISTENERS = 8192, MAX_CHANGES = 512, MAX_LINE = 256, SPLICE_BYTES = 1 << 16, ROUNDS = 8, CONNECT_SECONDS = 10, UDP_IDLE_SECONDS = 120, MAX_UDP_SESSIONS = 1024, FDS_PER_STREAM = 6, UDP_BUFFER = 65536 };

enum kind { CONTROL_LISTENER, CONTROL, LISTENER, STREAM_CLIENT, STREAM_TARGET, UDP_SESSION };

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* What an epoll event points to: the first member says what it is part of. */
struct source { enum kind kind; int fd; void *owner; };

struct stream;
struct session;

struct listener {
  struct source source;
  bool udp;
  union address at, target;
  struct listener *next;
  struct stream *streams;
  struct session *sessions;
  int session_count;
  bool dead;
};

struct direction { int pipe[2]; size_t held; bool ended, shut; };

struct stream {
  struct source client, target;
  struct direction to_target, to_client;
  struct listener *listener;
  struct stream *next, **link;
  struct stream *next_ready;
  bool ready, connected, dead;
  time_t since;
};

struct session {
  struct source source;
  struct listener *listener;
  union address client;
  /* Where the client sent to: answers come from there. */
  struct in_pktinfo to4;
  struct in6_pktinfo to6;
  struct session *next, **link;
  time_t used;
  bool dead;
};

struct change { bool add; bool udp; union address at, target; int fd; struct listener *same; };

static int poller = -1, control_fd = -1;
static const char *control_path;
static struct source control_listener, control;
static char control_line[8192];
static size_t control_used;
static struct listener *listeners;
static int listener_count, stream_count, max_streams;
static struct stream *ready_list, *dead_streams;
static struct session *dead_sessions;
static struct listener *dead_listeners;
static int session_total, max_sessions;
static struct change changes[MAX_CHANGES];
static int change_count;
static bool change_overflow;

static time_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

static socklen_t length_of(const union address *a) { return a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6; }

static bool same_address(const union address *a, const union address *b) {
  if (a->any.sa_family != b->any.sa_family) return false;
  if (a->any.sa_family == AF_INET) return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
  return a->v6.sin6_port == b->v6.sin6_port && memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}

static bool parse_address(const char *host, const char *port, union address *out) {
  char *end;
  unsigned long number = strtoul(port, &end, 10);
  if (*port < '0' || *port > '9' || *end || number < 1 || number > 65535) return false;
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)number);
    return true;
  }
  if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) != 1) return false;
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons((uint16_t)number);
  return true;
}

static int watch(struct source *s, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = s};
  return epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &e);
}

/* --- TCP --- */

static void end_stream(struct stream *s, bool hard) {
  if (s->dead) return;
  s->dead = true;
  if (hard) { /* the caller learns that it was cut, not that all was said */
    struct linger now_ = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->client.fd, SOL_SOCKET, SO_LINGER, &now_, sizeof now_);
    setsockopt(s->target.fd, SOL_SOCKET, SO_LINGER, &now_, sizeof now_);
  }
  close(s->client.fd);
  close(s->target.fd);
  for (int i = 0; i < 2; i++) {
    if (s->to_target.pipe[i] >= 0) close(s->to_target.pipe[i]);
    if (s->to_client.pipe[i] >= 0) close(s->to_client.pipe[i]);
  }
  *s->link = s->next;
  if (s->next) s->next->link = s->link;
  stream_count--;
  s->next = dead_streams; /* events of this round may still point to it */
  dead_streams = s;
}

/* Moves what there is; false when the stream is over. */
static bool pump(struct direction *d, int from, int to, bool *moved) {
  if (!d->ended) {
    ssize_t n = splice(from, NULL, d->pipe[1], NULL, SPLICE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      d->held += (size_t)n;
      *moved = true;
    } else if (n == 0) d->ended = true;
    else if (errno != EAGAIN && errno != EINTR) return false;
  }
  if (d->held > 0) {
    ssize_t n = splice(d->pipe[0], NULL, to, NULL, d->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      d->held -= (size_t)n;
      *moved = true;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
  }
  if (d->ended && d->held == 0 && !d->shut) {
    shutdown(to, SHUT_WR);
    d->shut = true;
  }
  return true;
}

static void make_ready(struct stream *s) {
  if (s->ready || s->dead) return;
  s->ready = true;
  s->next_ready = ready_list;
  ready_list = s;
}

static void serve(struct stream *s) {
  if (s->dead || !s->connected) return;
  for (int i = 0; i < ROUNDS; i++) {
    bool moved = false;
    if (!pump(&s->to_target, s->client.fd, s->target.fd, &moved) || !pump(&s->to_client, s->target.fd, s->client.fd, &moved)) return end_stream(s, true);
    if (s->to_target.shut && s->to_client.shut) return end_stream(s, false);
    if (!moved) return;
  }
  make_ready(s); /* more to do, after the others had their turn */
}

static void accept_stream(struct listener *l) {
  for (int i = 0; i < 64; i++) {
    int on = 1, fd = accept4(l->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) usleep(10000); /* it stays ready: do not spin */
      return;
    }
    struct stream *s = stream_count < max_streams ? calloc(1, sizeof *s) : NULL;
    if (!s) {
      close(fd);
      continue;
    }
    int target = socket(l->target.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->client = (struct source){STREAM_CLIENT, fd, s};
    s->target = (struct source){STREAM_TARGET, target, s};
    s->to_target.pipe[0] = s->to_target.pipe[1] = s->to_client.pipe[0] = s->to_client.pipe[1] = -1;
    s->listener = l;
    s->since = now();
    s->next = l->streams;
    s->link = &l->streams;
    if (s->next) s->next->link = &s->next;
    l->streams = s;
    stream_count++;
    if (target < 0 || pipe2(s->to_target.pipe, O_NONBLOCK | O_CLOEXEC) < 0 || pipe2(s->to_client.pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
      end_stream(s, true);
      continue;
    }
    for (int n = 0; n < 2; n++) {
      int which = n ? target : fd;
      setsockopt(which, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
      setsockopt(which, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if ((connect(target, &l->target.any, length_of(&l->target)) < 0 && errno != EINPROGRESS) ||
        watch(&s->client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0 || watch(&s->target, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0)
      end_stream(s, true);
  }
}

static void target_event(struct stream *s) {
  if (s->dead) return;
  if (!s->connected) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(s->target.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) return end_stream(s, true);
    union address peer;
    size = sizeof peer;
    if (getpeername(s->target.fd, &peer.any, &size) < 0) return; /* still trying */
    s->connected = true;
  }
  serve(s);
}

/* --- UDP --- */

static void end_session(struct session *s) {
  if (s->dead) return;
  s->dead = true;
  close(s->source.fd);
  *s->link = s->next;
  if (s->next) s->next->link = s->link;
  s->listener->session_count--;
  session_total--;
  s->next = dead_sessions;
  dead_sessions = s;
}

static struct session *session_of(struct listener *l, const union address *client) {
  struct session *oldest = NULL;
  for (struct session *s = l->sessions; s; s = s->next) {
    if (same_address(&s->client, client)) return s;
    if (!oldest || s->used < oldest->used) oldest = s;
  }
  if ((l->session_count >= MAX_UDP_SESSIONS || session_total >= max_sessions) && oldest) end_session(oldest);
  if (session_total >= max_sessions) return NULL;
  struct session *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  int fd = socket(l->target.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  s->source = (struct source){UDP_SESSION, fd, s};
  if (fd < 0 || connect(fd, &l->target.any, length_of(&l->target)) < 0 || watch(&s->source, EPOLLIN) < 0) {
    if (fd >= 0) close(fd);
    free(s);
    return NULL;
  }
  s->listener = l;
  s->client = *client;
  s->next = l->sessions;
  s->link = &l->sessions;
  if (s->next) s->next->link = &s->next;
  l->sessions = s;
  l->session_count++;
  session_total++;
  return s;
}

static char datagram[UDP_BUFFER];

static void udp_from_client(struct listener *l) {
  for (int i = 0; i < 64; i++) {
    union address client;
    union { char bytes[256]; struct cmsghdr align; } extra;
    struct iovec io = {datagram, sizeof datagram};
    struct msghdr m = {.msg_name = &client, .msg_namelen = sizeof client, .msg_iov = &io, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    ssize_t n = recvmsg(l->source.fd, &m, 0);
    if (n < 0) return;
    struct session *s = session_of(l, &client);
    if (!s) continue;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) memcpy(&s->to4, CMSG_DATA(c), sizeof s->to4);
      if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) memcpy(&s->to6, CMSG_DATA(c), sizeof s->to6);
    }
    s->used = now();
    (void)!send(s->source.fd, datagram, (size_t)n, 0); /* a datagram may be lost */
  }
}

static void udp_from_target(struct session *s) {
  if (s->dead) return;
  for (int i = 0; i < 64; i++) {
    ssize_t n = recv(s->source.fd, datagram, sizeof datagram, 0);
    if (n < 0) return;
    union { char bytes[256]; struct cmsghdr align; } extra;
    struct iovec io = {datagram, (size_t)n};
    struct msghdr m = {.msg_name = &s->client, .msg_namelen = length_of(&s->client), .msg_iov = &io, .msg_iovlen = 1, .msg_control = &extra};
    memset(&extra, 0, sizeof extra);
    struct cmsghdr *c = &extra.align;
    if (s->client.any.sa_family == AF_INET) {
      struct in_pktinfo from = {.ipi_spec_dst = s->to4.ipi_addr};
      m.msg_controllen = CMSG_SPACE(sizeof from);
      *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof from), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
      memcpy(CMSG_DATA(c), &from, sizeof from);
    } else {
      struct in6_pktinfo from = {.ipi6_addr = s->to6.ipi6_addr};
      m.msg_controllen = CMSG_SPACE(sizeof from);
      *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof from), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
      memcpy(CMSG_DATA(c), &from, sizeof from);
    }
    s->used = now();
    (void)!sendmsg(s->listener->source.fd, &m, 0);
  }
}

/* --- changes --- */

static int bind_socket(const struct change *c) {
  int on = 1, fd = socket(c->at.any.sa_family, (c->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (!c->udp) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* over old connections, never over a listener */
  if (c->at.any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (c->udp) setsockopt(fd, c->at.any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, c->at.any.sa_family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on);
  if (bind(fd, &c->at.any, length_of(&c->at)) < 0 || (!c->udp && listen(fd, 512) < 0)) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

static void end_traffic(struct listener *l) {
  while (l->streams) end_stream(l->streams, true);
  while (l->sessions) end_session(l->sessions);
}

static struct listener *find_listener(bool udp, const union address *at) {
  for (struct listener *l = listeners; l; l = l->next)
    if (l->udp == udp && same_address(&l->at, at)) return l;
  return NULL;
}

static void remove_listener(struct listener *gone) {
  for (struct listener **at = &listeners; *at; at = &(*at)->next)
    if (*at == gone) {
      *at = gone->next;
      break;
    }
  end_traffic(gone);
  close(gone->source.fd);
  listener_count--;
  gone->dead = true; /* an event of this round may still point to it */
  gone->next = dead_listeners;
  dead_listeners = gone;
}

static void say(const char *text) { (void)!send(control.fd, text, strlen(text), MSG_NOSIGNAL); }

static void commit(void) {
  char answer[64];
  int adds = 0, bad = -1, error = 0;
  if (change_overflow) { bad = 0; error = E2BIG; }
  for (int i = 0; i < change_count && bad < 0; i++) {
    struct change *c = &changes[i];
    c->fd = -1;
    c->same = find_listener(c->udp, &c->at);
    if (!c->add) continue;
    if (!c->same) {
      c->fd = listener_count + change_count < MAX_LISTENERS ? bind_socket(c) : -EMFILE;
      if (c->fd < 0) { bad = adds; error = -c->fd; }
    }
    adds++;
  }
  if (bad >= 0) {
    for (int i = 0; i < change_count; i++)
      if (changes[i].add && changes[i].fd > 0) close(changes[i].fd);
    snprintf(answer, sizeof answer, "error %d %d\n", bad, error);
    change_count = 0;
    change_overflow = false;
    return say(answer);
  }
  for (int i = 0; i < change_count; i++) {
    struct change *c = &changes[i];
    if (!c->add) {
      bool again = false; /* taken away and given back: only the target changes */
      for (int n = i + 1; n < change_count; n++) again |= changes[n].add && changes[n].same && changes[n].same == c->same;
      if (c->same && !again) remove_listener(c->same);
      continue;
    }
    if (c->same) {
      if (!same_address(&c->same->target, &c->target)) end_traffic(c->same);
      c->same->target = c->target;
      continue;
    }
    struct listener *l = calloc(1, sizeof *l);
    if (!l) { close(c->fd); continue; }
    *l = (struct listener){.source = {LISTENER, c->fd, l}, .udp = c->udp, .at = c->at, .target = c->target, .next = listeners};
    listeners = l;
    listener_count++;
    watch(&l->source, EPOLLIN);
  }
  change_count = 0;
  say("ok\n");
}

static void describe(const union address *a, char *out, size_t size) {
  char text[INET6_ADDRSTRLEN];
  bool four = a->any.sa_family == AF_INET;
  inet_ntop(a->any.sa_family, four ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr, text, sizeof text);
  snprintf(out, size, "%s %u", text, ntohs(four ? a->v4.sin_port : a->v6.sin6_port));
}

static void list(void) {
  char line[MAX_LINE], at[64], target[64];
  int flags = fcntl(control.fd, F_GETFL);
  fcntl(control.fd, F_SETFL, flags & ~O_NONBLOCK); /* the reader is our daemon and waits for all of it */
  for (struct listener *l = listeners; l; l = l->next) {
    describe(&l->at, at, sizeof at);
    describe(&l->target, target, sizeof target);
    snprintf(line, sizeof line, "%s %s %s\n", l->udp ? "udp" : "tcp", at, target);
    say(line);
  }
  say("end\n");
  fcntl(control.fd, F_SETFL, flags);
}

static void handle(char *line) {
  char *word[7];
  int n = 0;
  for (char *w = strtok(line, " "); w && n < 7; w = strtok(NULL, " ")) word[n++] = w;
  if (n == 0) return;
  if (strcmp(word[0], "hello") == 0) {
    char text[32];
    snprintf(text, sizeof text, "proxy 1 %d\n", (int)getpid());
    return say(text);
  }
  if (strcmp(word[0], "list") == 0) return list();
  if (strcmp(word[0], "commit") == 0) return commit();
  if (strcmp(word[0], "quit") == 0) _exit(0); /* whoever said so takes SOCKET away: we may not */
  bool add = strcmp(word[0], "+") == 0 && n == 6, take = strcmp(word[0], "-") == 0 && n == 4;
  struct change c = {.add = add, .fd = -1};
  if ((!add && !take) || change_count == MAX_CHANGES) { change_overflow = true; return; }
  c.udp = strcmp(word[1], "udp") == 0;
  if ((!c.udp && strcmp(word[1], "tcp") != 0) || !parse_address(word[2], word[3], &c.at) || (add && !parse_address(word[4], word[5], &c.target))) change_overflow = true;
  else changes[change_count++] = c;
}

static void close_control(void) {
  if (control.fd < 0) return;
  close(control.fd);
  control.fd = -1;
  control_used = 0;
  change_count = 0;
  change_overflow = false;
}

static void control_event(void) {
  for (;;) {
    ssize_t n = recv(control.fd, control_line + control_used, sizeof control_line - control_used - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return close_control();
    control_used += (size_t)n;
    control_line[control_used] = 0;
    char *start = control_line, *end;
    while ((end = strchr(start, '\n'))) {
      *end = 0;
      handle(start);
      start = end + 1;
    }
    control_used -= (size_t)(start - control_line);
    memmove(control_line, start, control_used);
    if (control_used >= MAX_LINE) return close_control();
  }
}

static void accept_control(void) {
  int fd = accept4(control_listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  close_control(); /* a new daemon takes over from one that died */
  control = (struct source){CONTROL, fd, NULL};
  watch(&control, EPOLLIN | EPOLLRDHUP);
}

static void housekeeping(void) {
  time_t t = now();
  for (struct listener *l = listeners; l; l = l->next) {
    for (struct stream *s = l->streams, *next; s; s = next) {
      next = s->next;
      if (!s->connected && t - s->since > CONNECT_SECONDS) end_stream(s, true);
    }
    for (struct session *s = l->sessions, *next; s; s = next) {
      next = s->next;
      if (t - s->used > UDP_IDLE_SECONDS) end_session(s);
    }
  }
}

static void bury(void) {
  while (dead_streams) {
    struct stream *s = dead_streams;
    dead_streams = s->next;
    free(s);
  }
  while (dead_sessions) {
    struct session *s = dead_sessions;
    dead_sessions = s->next;
    free(s);
  }
  while (dead_listeners) {
    struct listener *l = dead_listeners;
    dead_listeners = l->next;
    free(l);
  }
}

static int drop_rights(uid_t uid, gid_t gid) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct caps[2] = {{0}};
  caps[0].permitted = caps[0].effective = 1u << CAP_NET_BIND_SERVICE;
  if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return -1;
  if (syscall(SYS_capset, &head, caps) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return prctl(PR_SET_DUMPABLE, 0);
}

static int listen_control(void) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  if (strlen(control_path) >= sizeof at.sun_path) { errno = ENAMETOOLONG; return -1; }
  strcpy(at.sun_path, control_path);
  unlink(control_path);
  umask(0177);
  if ((control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0) return -1;
  if (bind(control_fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(control_fd, 4) < 0) return -1;
  return 0;
}

int proxy_main(int argc, char **argv) {
  struct rlimit limit = {.rlim_cur = 1024};
  if (argc != 4) {
    fputs("usage: proxy SOCKET UID GID\n", stderr);
    return 2;
  }
  control_path = argv[1];
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  /* Three quarters of the descriptors for streams, an eighth for datagram sessions, the rest for listeners. */
  unsigned long files = limit.rlim_cur > 262144 ? 262144 : limit.rlim_cur;
  max_streams = (int)(files * 3 / 4 / FDS_PER_STREAM);
  max_sessions = (int)(files / 8);
  if (listen_control() < 0 || (poller = epoll_create1(EPOLL_CLOEXEC)) < 0) {
    perror(control_path);
    return 1;
  }
  pid_t pid = fork();
  if (pid < 0) {
    perror("fork");
    return 1;
  }
  if (pid > 0) _exit(0); /* whoever started it knows now that SOCKET answers */
  setsid();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; i++) dup2(null, i);
  if (chdir("/") < 0 || drop_rights((uid_t)atoi(argv[2]), (gid_t)atoi(argv[3])) < 0) _exit(1);
  control_listener = (struct source){CONTROL_LISTENER, control_fd, NULL};
  control.fd = -1;
  watch(&control_listener, EPOLLIN);
  for (time_t swept = now();;) {
    struct epoll_event events[64];
    int n = epoll_wait(poller, events, 64, ready_list ? 0 : 5000);
    struct stream *turn = ready_list;
    ready_list = NULL;
    while (turn) {
      struct stream *next = turn->next_ready;
      turn->ready = false;
      serve(turn);
      turn = next;
    }
    for (int i = 0; i < n; i++) {
      struct source *s = events[i].data.ptr;
      switch (s->kind) {
        case CONTROL_LISTENER: accept_control(); break;
        case CONTROL: if (control.fd >= 0) control_event(); break;
        case STREAM_CLIENT: serve(s->owner); break;
        case STREAM_TARGET: target_event(s->owner); break;
        case UDP_SESSION: udp_from_target(s->owner); break;
        case LISTENER: {
          struct listener *l = s->owner;
          if (l->dead) break;
          if (l->udp) udp_from_client(l);
          else accept_stream(l);
        }
      }
    }
    /* A dead stream may be on the ready list of this round: it goes when nothing points to it. */
    if (!ready_list) bury();
    if (now() - swept >= 5) {
      housekeeping();
      swept = now();
    }
  }
}
