/* Makes sandboxes on request: a user and a network namespace that belong together, wired to bridges of the caller's
 * network namespace. It lives as long as its standard input is open; what nobody took away by then dies with it.
 *
 * Requests, one line each, fields separated by one space:
 *   open SEQ BASE COUNT {PORT BRIDGE MTU ISOLATED INNER MAC IP4 LEN4 GW4 IP6 LEN6 GW6}...   GW is `-` for none
 *   drop PID                       the caller holds its descriptors: end the process that kept the namespaces
 * Answers, in the order of the requests:
 *   ok SEQ PID                     /proc/PID/ns/user and /proc/PID/ns/net are ready until `drop`
 *   error SEQ ERRNO STEP
 *
 * The namespaces are made with BASE as the user, so that host root does not own them; the peer of each veth is born
 * inside, so it is never seen on the host. The veth's host side comes up last: rules for it must be there before. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/securebits.h>

enum { MAX_PORTS = 16, PORT_FIELDS = 12, MAX_WORDS = 4 + MAX_PORTS * PORT_FIELDS, MAX_LINE = 8192, MAX_CHILDREN = 4096 };

struct port {
  const char *host, *inner, *ip4, *gw4, *ip6, *gw6;
  uint32_t bridge, mtu;
  bool isolated;
  unsigned char mac[6];
  unsigned char len4, len6;
};

struct request {
  _Alignas(struct nlmsghdr) char bytes[4096];
};

static int netlink_fd = -1;
static uint32_t netlink_seq;
static const char *failed_step = "";

static struct nlmsghdr *begin(struct request *r, int type, int flags, const void *header, size_t length) {
  struct nlmsghdr *n = (struct nlmsghdr *)r->bytes;
  memset(r, 0, sizeof *r);
  n->nlmsg_len = NLMSG_LENGTH(length);
  n->nlmsg_type = type;
  n->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
  memcpy(NLMSG_DATA(n), header, length);
  return n;
}

static struct rtattr *put(struct nlmsghdr *n, int type, const void *data, size_t length) {
  struct rtattr *a = (struct rtattr *)((char *)n + NLMSG_ALIGN(n->nlmsg_len));
  a->rta_type = type;
  a->rta_len = RTA_LENGTH(length);
  if (length) memcpy(RTA_DATA(a), data, length);
  n->nlmsg_len = NLMSG_ALIGN(n->nlmsg_len) + RTA_ALIGN(a->rta_len);
  return a;
}

static void put_text(struct nlmsghdr *n, int type, const char *text) { put(n, type, text, strlen(text) + 1); }
static void put_u32(struct nlmsghdr *n, int type, uint32_t value) { put(n, type, &value, sizeof value); }
static void put_u8(struct nlmsghdr *n, int type, uint8_t value) { put(n, type, &value, sizeof value); }
static struct rtattr *open_nest(struct nlmsghdr *n, int type) { return put(n, type | NLA_F_NESTED, NULL, 0); }
static void close_nest(struct nlmsghdr *n, struct rtattr *nest) { nest->rta_len = (char *)n + NLMSG_ALIGN(n->nlmsg_len) - (char *)nest; }

/* Sends one message and waits for its acknowledgement: 0 or an errno. */
static int talk(int fd, struct request *r) {
  char answer[8192];
  struct nlmsghdr *sent = (struct nlmsghdr *)r->bytes;
  sent->nlmsg_seq = ++netlink_seq;
  if (send(fd, r, sent->nlmsg_len, 0) < 0) return errno;
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    int left = (int)got;
    for (struct nlmsghdr *n = (struct nlmsghdr *)answer; NLMSG_OK(n, left); n = NLMSG_NEXT(n, left))
      if (n->nlmsg_seq == netlink_seq && n->nlmsg_type == NLMSG_ERROR) return -((struct nlmsgerr *)NLMSG_DATA(n))->error;
  }
}

static int route_socket(void) {
  int on = 1, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd >= 0) setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return fd;
}

/* --- inside the new namespaces --- */

static int link_up(int fd, int index) {
  struct request r;
  struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&r, RTM_NEWLINK, 0, &header, sizeof header);
  return talk(fd, &r);
}

static int add_address(int fd, int index, int family, const char *text, unsigned char length) {
  struct request r;
  unsigned char bytes[16];
  size_t size = family == AF_INET ? 4 : 16;
  if (inet_pton(family, text, bytes) != 1) return EINVAL;
  struct ifaddrmsg header = {.ifa_family = family, .ifa_prefixlen = length, .ifa_index = index};
  struct nlmsghdr *n = begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
  put(n, IFA_LOCAL, bytes, size);
  put(n, IFA_ADDRESS, bytes, size);
  if (family == AF_INET6) put_u32(n, IFA_FLAGS, IFA_F_NODAD); /* addresses are unique by lease: usable at once */
  return talk(fd, &r);
}

static int add_default_route(int fd, int index, int family, const char *gateway, uint32_t metric) {
  struct request r;
  unsigned char bytes[16];
  if (strcmp(gateway, "-") == 0) return 0;
  if (inet_pton(family, gateway, bytes) != 1) return EINVAL;
  struct rtmsg header = {.rtm_family = family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
  struct nlmsghdr *n = begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
  put(n, RTA_GATEWAY, bytes, family == AF_INET ? 4 : 16);
  put_u32(n, RTA_OIF, index);
  put_u32(n, RTA_PRIORITY, metric);
  return talk(fd, &r);
}

/* Who had this address before may still be in a neighbour's cache: an interface that comes up says whose it is now. */
static void announce_addresses(void) {
  static const char *const switches[] = {"/proc/sys/net/ipv4/conf/all/arp_notify", "/proc/sys/net/ipv6/conf/all/ndisc_notify"};
  for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
    int fd = open(switches[i], O_WRONLY | O_CLOEXEC);
    if (fd < 0) continue; /* caches forget by themselves, later */
    if (write(fd, "1", 1) != 1) {}
    close(fd);
  }
}

static int configure(const struct port *ports, int count) {
  int fd = route_socket(), error;
  if (fd < 0) return errno;
  announce_addresses();
  if ((error = link_up(fd, 1))) { failed_step = "lo"; return error; }
  for (int i = 0; i < count; i++) {
    const struct port *p = &ports[i];
    int index = (int)if_nametoindex(p->inner);
    if (index == 0) { failed_step = "interface"; return ENODEV; }
    /* First the addresses: the kernel announces those that are there when the interface comes up. */
    failed_step = "address";
    if ((error = add_address(fd, index, AF_INET, p->ip4, p->len4))) return error;
    if ((error = add_address(fd, index, AF_INET6, p->ip6, p->len6))) return error;
    failed_step = "up";
    if ((error = link_up(fd, index))) return error;
    failed_step = "route";
    if ((error = add_default_route(fd, index, AF_INET, p->gw4, 100 + i))) return error;
    if ((error = add_default_route(fd, index, AF_INET6, p->gw6, 100 + i))) return error;
  }
  close(fd);
  return 0;
}

struct word { int error; char step[32]; };

static void say(int fd, int error, const char *step) {
  struct word w = {.error = error};
  snprintf(w.step, sizeof w.step, "%s", step);
  if (write(fd, &w, sizeof w) != sizeof w) _exit(1);
}

static __attribute__((noreturn)) void keeper(int talkfd, uid_t base, const struct port *ports, int count) {
  char go;
  pid_t parent = getppid();
  /* Capabilities stay over the change of user (user_namespaces(7) asks for none here, a hardened kernel does). */
  if (prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP) < 0) say(talkfd, errno, "securebits");
  if (setgroups(0, NULL) < 0 || setresgid(base, base, base) < 0 || setresuid(base, base, base) < 0) { say(talkfd, errno, "setuid"); _exit(1); }
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) { say(talkfd, errno, "unshare"); _exit(1); }
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) _exit(1);
  say(talkfd, 0, "");
  if (read(talkfd, &go, 1) != 1) _exit(1);
  int error = configure(ports, count);
  say(talkfd, error, failed_step);
  while (read(talkfd, &go, 1) > 0) {}
  _exit(0);
}

/* --- outside --- */

static int write_map(pid_t pid, const char *name, unsigned base, unsigned count) {
  char path[64], text[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int length = snprintf(text, sizeof text, "0 %u %u\n", base, count);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = write(fd, text, length) == length ? 0 : errno;
  close(fd);
  return error;
}

static int remove_link(const char *name) {
  struct request r;
  struct ifinfomsg none = {.ifi_family = AF_UNSPEC};
  put_text(begin(&r, RTM_DELLINK, 0, &none, sizeof none), IFLA_IFNAME, name);
  return talk(netlink_fd, &r);
}

static int create_veth(const struct port *p, pid_t pid) {
  struct request r;
  struct ifinfomsg none = {.ifi_family = AF_UNSPEC};
  struct nlmsghdr *n = begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, sizeof none);
  put_text(n, IFLA_IFNAME, p->host);
  put_u32(n, IFLA_MTU, p->mtu);
  put_u32(n, IFLA_MASTER, p->bridge);
  struct rtattr *info = open_nest(n, IFLA_LINKINFO);
  put_text(n, IFLA_INFO_KIND, "veth");
  struct rtattr *data = open_nest(n, IFLA_INFO_DATA);
  struct rtattr *peer = put(n, VETH_INFO_PEER | NLA_F_NESTED, &none, sizeof none);
  put_text(n, IFLA_IFNAME, p->inner);
  put(n, IFLA_ADDRESS, p->mac, sizeof p->mac);
  put_u32(n, IFLA_MTU, p->mtu);
  put_u32(n, IFLA_NET_NS_PID, (uint32_t)pid);
  close_nest(n, peer);
  close_nest(n, data);
  close_nest(n, info);
  return talk(netlink_fd, &r);
}

static int make_veth(const struct port *p, pid_t pid) {
  struct request r;
  struct nlmsghdr *n;
  struct rtattr *info, *data;
  int error = create_veth(p, pid);
  /* A port that was used a moment ago: the kernel takes its time to reap the namespace at the other end. */
  for (int tries = 0; error == EEXIST && tries < 3; tries++) {
    error = remove_link(p->host);
    if (error && error != ENODEV) return error;
    error = create_veth(p, pid);
  }
  if (error) return error;
  struct ifinfomsg up = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  n = begin(&r, RTM_NEWLINK, 0, &up, sizeof up);
  put_text(n, IFLA_IFNAME, p->host);
  struct rtattr *spec = open_nest(n, IFLA_AF_SPEC);
  struct rtattr *six = open_nest(n, AF_INET6);
  put_u8(n, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); /* the host has no address on an instance's cable */
  close_nest(n, six);
  close_nest(n, spec);
  if (p->isolated) {
    info = open_nest(n, IFLA_LINKINFO);
    put_text(n, IFLA_INFO_SLAVE_KIND, "bridge");
    data = open_nest(n, IFLA_INFO_SLAVE_DATA);
    put_u8(n, IFLA_BRPORT_ISOLATED, 1);
    close_nest(n, data);
    close_nest(n, info);
  }
  return talk(netlink_fd, &r);
}

struct keeper { pid_t pid; int fd; };
static struct keeper keepers[MAX_CHILDREN];
static int keeper_count;

static void end_keeper(struct keeper *k) {
  close(k->fd);
  kill(k->pid, SIGKILL);
  waitpid(k->pid, NULL, 0);
}

static void answer_error(const char *seq, int error, const char *step) { printf("error %s %d %s\n", seq, error, *step ? step : "sandbox"); }

static void open_sandbox(const char *seq, unsigned base, unsigned count, const struct port *ports, int port_count) {
  int pair[2], error = 0;
  const char *step = "";
  struct word w;
  if (keeper_count == MAX_CHILDREN) return answer_error(seq, EAGAIN, "keepers");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return answer_error(seq, errno, "socketpair");
  pid_t pid = fork();
  if (pid < 0) {
    error = errno;
    close(pair[0]);
    close(pair[1]);
    return answer_error(seq, error, "fork");
  }
  if (pid == 0) {
    close(pair[0]);
    keeper(pair[1], base, ports, port_count);
  }
  close(pair[1]);
  struct keeper k = {.pid = pid, .fd = pair[0]};
  if (read(k.fd, &w, sizeof w) != sizeof w) { error = ECHILD; step = "keeper"; }
  else if (w.error) { error = w.error; step = w.step; }
  if (!error && (error = write_map(pid, "gid_map", base, count))) step = "gid_map";
  if (!error && (error = write_map(pid, "uid_map", base, count))) step = "uid_map";
  for (int i = 0; i < port_count && !error; i++)
    if ((error = make_veth(&ports[i], pid))) step = "veth";
  if (!error) {
    if (write(k.fd, "g", 1) != 1 || read(k.fd, &w, sizeof w) != sizeof w) { error = ECHILD; step = "keeper"; }
    else if (w.error) { error = w.error; step = w.step; }
  }
  if (error) {
    answer_error(seq, error, step);
    end_keeper(&k);
    return;
  }
  keepers[keeper_count++] = k;
  printf("ok %s %d\n", seq, (int)pid);
}

static void drop(pid_t pid) {
  for (int i = 0; i < keeper_count; i++)
    if (keepers[i].pid == pid) {
      end_keeper(&keepers[i]);
      keepers[i] = keepers[--keeper_count];
      return;
    }
}

static bool number(const char *text, unsigned long max, uint32_t *out) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno || *text < '0' || *text > '9' || *end || value > max) return false;
  *out = (uint32_t)value;
  return true;
}

static bool parse_port(char **f, struct port *p) {
  uint32_t isolated, len4, len6;
  unsigned m[6];
  char rest;
  if (strlen(f[0]) >= IFNAMSIZ || strlen(f[4]) >= IFNAMSIZ) return false;
  if (!number(f[1], INT32_MAX, &p->bridge) || !number(f[2], 65535, &p->mtu) || !number(f[3], 1, &isolated)) return false;
  if (!number(f[7], 32, &len4) || !number(f[10], 128, &len6)) return false;
  if (strlen(f[5]) != 17 || sscanf(f[5], "%2x:%2x:%2x:%2x:%2x:%2x%c", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &rest) != 6) return false;
  for (int i = 0; i < 6; i++) p->mac[i] = (unsigned char)m[i];
  p->host = f[0];
  p->isolated = isolated;
  p->inner = f[4];
  p->ip4 = f[6];
  p->len4 = (unsigned char)len4;
  p->gw4 = f[8];
  p->ip6 = f[9];
  p->len6 = (unsigned char)len6;
  p->gw6 = f[11];
  return true;
}

static void handle(char *line) {
  static char *words[MAX_WORDS + 1];
  static struct port ports[MAX_PORTS];
  int n = 0;
  for (char *w = strtok(line, " "); w && n <= MAX_WORDS; w = strtok(NULL, " ")) words[n++] = w;
  uint32_t base, count, pid;
  if (n == 2 && strcmp(words[0], "drop") == 0 && number(words[1], INT32_MAX, &pid)) return drop((pid_t)pid);
  if (n < 2) return;
  int port_count = (n - 4) / PORT_FIELDS;
  bool good = strcmp(words[0], "open") == 0 && n >= 4 && n <= MAX_WORDS && (n - 4) % PORT_FIELDS == 0 &&
    number(words[2], UINT32_MAX - 1, &base) && number(words[3], UINT32_MAX - 1, &count) && base >= 65536 && count >= 1 && base + count > base;
  for (int i = 0; good && i < port_count; i++) good = parse_port(words + 4 + i * PORT_FIELDS, &ports[i]);
  if (good) open_sandbox(words[1], base, count, ports, port_count);
  else answer_error(words[1], EINVAL, "request");
}

int userns_main(int argc, char **argv) {
  static char buffer[MAX_LINE * 16];
  size_t used = 0;
  (void)argv;
  if (argc != 1) return 2;
  signal(SIGPIPE, SIG_IGN);
  if ((netlink_fd = route_socket()) < 0) {
    perror("netlink");
    return 1;
  }
  for (;;) {
    ssize_t got = read(STDIN_FILENO, buffer + used, sizeof buffer - used - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += (size_t)got;
    buffer[used] = 0;
    char *start = buffer, *end;
    while ((end = strchr(start, '\n'))) {
      *end = 0;
      handle(start);
      if (fflush(stdout) != 0) goto out;
      start = end + 1;
    }
    used -= (size_t)(start - buffer);
    memmove(buffer, start, used);
    if (used >= MAX_LINE) break;
  }
out:
  while (keeper_count > 0) end_keeper(&keepers[--keeper_count]);
  return 0;
}
