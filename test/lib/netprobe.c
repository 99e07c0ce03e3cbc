/* Hands and eyes of the network tests.
 *   send IFACE [HEX...]            raw frames, in order; reads more lines of HEX from standard input when none is given
 *   capture IFACE                  prints `ready`, then each frame that comes in, as HEX
 *   cable TAP NETNS INNER MAC      a tap here and one in another network namespace, frames carried between them
 *   serve PROTO ADDRESS PORT       prints `ready`; answers whoever asks with `ADDRESS` of the asker, then echoes
 *   ask PROTO ADDRESS PORT [FROM]  prints the answer, or `no ERRNO` within 1.5 s; FROM is a port of its own
 *   owner USERNS NETNS             prints the user that made the one, and whether it owns the other (ioctl_ns(2))
 *   mss ADDRESS PORT               connects, prints the size of segments that the other side takes
 *   pump ADDRESS PORT BYTES        writes, half-closes, reads to the end; prints how many bytes came back */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/nsfs.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what) {
  perror(what);
  return 1;
}

static int packet_socket(const char *name, int *index) {
  *index = (int)if_nametoindex(name);
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = *index};
  if (fd < 0 || !*index || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return -1;
  return fd;
}

static int send_hex(int fd, const char *hex) {
  unsigned char bytes[9000];
  size_t n = 0;
  unsigned value;
  for (; sscanf(hex, "%2x", &value) == 1 && n < sizeof bytes; hex += 2) bytes[n++] = (unsigned char)value;
  return send(fd, bytes, n, 0) == (ssize_t)n ? 0 : fail("send");
}

static int do_send(int argc, char **argv) {
  int index, fd = packet_socket(argv[2], &index);
  static char line[20000];
  if (fd < 0) return fail(argv[2]);
  for (int i = 3; i < argc; i++)
    if (send_hex(fd, argv[i])) return 1;
  if (argc == 3)
    while (fgets(line, sizeof line, stdin))
      if (send_hex(fd, line)) return 1;
  return 0;
}

static int do_capture(char **argv) {
  static unsigned char bytes[70000];
  int index, fd = packet_socket(argv[2], &index);
  if (fd < 0) return fail(argv[2]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("ready");
  for (;;) {
    struct sockaddr_ll from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
    if (n < 0) return fail("recv");
    if (from.sll_pkttype == PACKET_OUTGOING || n > 2000) continue;
    for (ssize_t i = 0; i < n; i++) printf("%02x", bytes[i]);
    putchar('\n');
  }
}

static int open_tap(const char *name) {
  struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  snprintf(r.ifr_name, IFNAMSIZ, "%s", name);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) return -1;
  return fd;
}

static int do_cable(char **argv) {
  static unsigned char bytes[70000];
  struct ifreq r = {.ifr_flags = 0};
  unsigned char mac[6];
  int outer = open_tap(argv[2]), there = open(argv[3], O_RDONLY | O_CLOEXEC);
  if (outer < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) return fail("tap");
  int inner = open_tap(argv[4]), s = socket(AF_INET, SOCK_DGRAM, 0);
  if (inner < 0 || sscanf(argv[5], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6) return fail("inner");
  snprintf(r.ifr_name, IFNAMSIZ, "%s", argv[4]);
  r.ifr_hwaddr.sa_family = 1;
  memcpy(r.ifr_hwaddr.sa_data, mac, 6);
  if (ioctl(s, SIOCSIFHWADDR, &r) < 0) return fail("mac");
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("ready");
  for (;;) {
    struct pollfd p[2] = {{outer, POLLIN, 0}, {inner, POLLIN, 0}};
    if (poll(p, 2, -1) < 0) return fail("poll");
    for (int i = 0; i < 2; i++) {
      if (!(p[i].revents & POLLIN)) continue;
      ssize_t n = read(p[i].fd, bytes, sizeof bytes);
      if (n > 0 && write(p[!i].fd, bytes, (size_t)n) < 0 && errno != EIO) return fail("write"); /* EIO: not up yet */
    }
  }
}

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static socklen_t parse(const char *host, const char *port, union address *a) {
  memset(a, 0, sizeof *a);
  if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons((uint16_t)atoi(port));
    return sizeof a->v4;
  }
  a->v6.sin6_family = AF_INET6;
  a->v6.sin6_port = htons((uint16_t)atoi(port));
  if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) != 1) exit(fail(host));
  return sizeof a->v6;
}

static int name_of(const union address *a, char *out, size_t size) {
  char text[64];
  inet_ntop(a->any.sa_family, a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr, text, sizeof text);
  return snprintf(out, size, "%s\n", text);
}

static void *echo(void *arg) {
  static _Thread_local char bytes[65536];
  int fd = (int)(long)arg;
  for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;)
    if (write(fd, bytes, (size_t)n) != n) break;
  close(fd);
  return NULL;
}

static int do_serve(char **argv) {
  bool udp = strcmp(argv[2], "udp") == 0;
  char text[128];
  int on = 1;
  union address at, peer;
  socklen_t size = parse(argv[3], argv[4], &at);
  int fd = socket(at.any.sa_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, &at.any, size) < 0 || (!udp && listen(fd, 128) < 0)) return fail("bind");
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("ready");
  for (;;) {
    size = sizeof peer;
    if (udp) {
      if (recvfrom(fd, text, sizeof text, 0, &peer.any, &size) < 0) return fail("recvfrom");
      int n = name_of(&peer, text, sizeof text);
      sendto(fd, text, (size_t)n, 0, &peer.any, size);
    } else {
      pthread_t thread;
      int client = accept(fd, &peer.any, &size);
      if (client < 0) continue;
      int n = name_of(&peer, text, sizeof text);
      if (write(client, text, (size_t)n) != n || pthread_create(&thread, NULL, echo, (void *)(long)client)) close(client);
      else pthread_detach(thread);
    }
  }
}

static int do_ask(int argc, char **argv) {
  bool udp = strcmp(argv[2], "udp") == 0;
  char text[2048];
  union address to;
  socklen_t size = parse(argv[3], argv[4], &to);
  int fd = socket(to.any.sa_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0), error = 0;
  if (argc > 5) {
    union address from = {.v6 = {.sin6_family = to.any.sa_family}};
    from.v4.sin_port = htons((uint16_t)atoi(argv[5]));
    if (bind(fd, &from.any, size) < 0) return fail("bind");
  }
  if (connect(fd, &to.any, size) < 0 && errno != EINPROGRESS) return printf("no %s\n", strerrorname_np(errno)), 0;
  struct pollfd p = {fd, POLLOUT, 0};
  if (poll(&p, 1, 1500) == 0) return puts("no ETIMEDOUT"), 0;
  size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) return printf("no %s\n", strerrorname_np(error)), 0;
  if (udp && send(fd, "x", 1, 0) < 0) return printf("no %s\n", strerrorname_np(errno)), 0;
  p.events = POLLIN;
  if (poll(&p, 1, 1500) == 0) return puts("no ETIMEDOUT"), 0;
  ssize_t n = recv(fd, text, sizeof text - 1, 0);
  if (n < 0) return printf("no %s\n", strerrorname_np(errno)), 0;
  text[n] = 0;
  fputs(n == 0 ? "no EOF\n" : text, stdout);
  return 0;
}

static int do_pump(char **argv) {
  static char bytes[65536];
  long left = atol(argv[4]), back = 0;
  union address to;
  socklen_t size = parse(argv[2], argv[3], &to);
  int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
  if (connect(fd, &to.any, size) < 0) return fail("connect");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (bool open = true;;) {
    struct pollfd p = {fd, POLLIN | (open ? POLLOUT : 0), 0};
    if (poll(&p, 1, 10000) <= 0) return fail("poll");
    if (p.revents & POLLIN) {
      ssize_t n = read(fd, bytes, sizeof bytes);
      if (n < 0) return fail("read");
      if (n == 0) break;
      back += n;
    }
    if (open && (p.revents & POLLOUT)) {
      ssize_t n = write(fd, bytes, left > (long)sizeof bytes ? sizeof bytes : (size_t)left);
      if (n > 0) left -= n;
      if (left == 0) {
        shutdown(fd, SHUT_WR);
        open = false;
      }
    }
  }
  printf("%ld\n", back);
  return 0;
}

static int do_mss(char **argv) {
  union address to;
  int mss = 0, fd;
  socklen_t size = parse(argv[2], argv[3], &to);
  fd = socket(to.any.sa_family, SOCK_STREAM, 0);
  if (connect(fd, &to.any, size) < 0) return fail("connect");
  size = sizeof mss;
  if (getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &size) < 0) return fail("mss");
  printf("%d\n", mss);
  return 0;
}

static int do_owner(char **argv) {
  uid_t uid;
  struct stat a, b;
  int user = open(argv[2], O_RDONLY), net = open(argv[3], O_RDONLY);
  int of_net = ioctl(net, NS_GET_USERNS);
  if (ioctl(user, NS_GET_OWNER_UID, &uid) < 0 || of_net < 0 || fstat(user, &a) < 0 || fstat(of_net, &b) < 0) return fail("ioctl");
  printf("%u %s\n", uid, a.st_ino == b.st_ino ? "yes" : "no");
  return 0;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  const char *job = argc > 2 ? argv[1] : "";
  if (strcmp(job, "send") == 0) return do_send(argc, argv);
  if (strcmp(job, "capture") == 0) return do_capture(argv);
  if (strcmp(job, "cable") == 0 && argc == 6) return do_cable(argv);
  if (strcmp(job, "serve") == 0 && argc == 5) return do_serve(argv);
  if (strcmp(job, "ask") == 0 && argc >= 5) return do_ask(argc, argv);
  if (strcmp(job, "mss") == 0 && argc == 4) return do_mss(argv);
  if (strcmp(job, "owner") == 0 && argc == 4) return do_owner(argv);
  if (strcmp(job, "pump") == 0 && argc == 5) return do_pump(argv);
  return 2;
}
