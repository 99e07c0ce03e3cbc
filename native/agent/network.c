/* Interfaces, addresses and routes by rtnetlink(7): what an app needs, given by the host, no DHCP. */
#include "agent.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct request { struct nlmsghdr head; char rest[256]; };

static void attribute(struct request *r, int type, const void *data, size_t length) {
  struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));
  a->rta_type = type;
  a->rta_len = RTA_LENGTH(length);
  memcpy(RTA_DATA(a), data, length);
  r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static int ask(struct request *r) {
  static int fd = -1;
  if (fd < 0) fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  if (send(fd, r, r->head.nlmsg_len, 0) < 0) return -1;
  char answer[1024];
  ssize_t length = recv(fd, answer, sizeof answer, 0);
  struct nlmsghdr *head = (struct nlmsghdr *)answer;
  if (length < (ssize_t)sizeof *head || head->nlmsg_type != NLMSG_ERROR) { errno = EPROTO; return -1; }
  int error = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
  errno = error;
  return error ? -1 : 0;
}

static int set_link(int index, const char *name, unsigned mtu, bool up) {
  struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK}};
  struct ifinfomsg *info = NLMSG_DATA(&r.head);
  info->ifi_index = index;
  if (up) info->ifi_flags = info->ifi_change = IFF_UP;
  if (name) attribute(&r, IFLA_IFNAME, name, strlen(name) + 1);
  if (mtu) attribute(&r, IFLA_MTU, &mtu, sizeof mtu);
  return ask(&r);
}

static int set_mac(int index, const char *mac) {
  struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK}};
  unsigned char m[6];
  if (sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) { errno = EINVAL; return -1; }
  ((struct ifinfomsg *)NLMSG_DATA(&r.head))->ifi_index = index;
  attribute(&r, IFLA_ADDRESS, m, sizeof m);
  return ask(&r);
}

/* 4 or 16 bytes into `out`; 0 when the text is no address. */
static size_t parse_address(const char *text, unsigned char out[16], int *family) {
  if (inet_pton(AF_INET, text, out) == 1) { *family = AF_INET; return 4; }
  if (inet_pton(AF_INET6, text, out) == 1) { *family = AF_INET6; return 16; }
  return 0;
}

static int add_address(int index, const char *text, int prefix) {
  unsigned char bytes[16];
  int family;
  size_t length = parse_address(text, bytes, &family);
  if (!length) { errno = EINVAL; return -1; }
  struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)), .nlmsg_type = RTM_NEWADDR, .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE}};
  struct ifaddrmsg *info = NLMSG_DATA(&r.head);
  info->ifa_family = family;
  info->ifa_prefixlen = prefix;
  info->ifa_index = index;
  /* The host leased the address: waiting for duplicates would only delay its first use. */
  if (family == AF_INET6) info->ifa_flags = IFA_F_NODAD;
  attribute(&r, IFA_LOCAL, bytes, length);
  attribute(&r, IFA_ADDRESS, bytes, length);
  if (family == AF_INET && prefix < 31) {
    uint32_t broadcast = htonl(ntohl(*(uint32_t *)bytes) | (prefix ? 0xffffffffu >> prefix : 0xffffffffu));
    attribute(&r, IFA_BROADCAST, &broadcast, 4);
  }
  return ask(&r);
}

/*
 * Who had this address before may still be in a neighbour's cache: an unsolicited neighbour advertisement (RFC 4861,
 * 7.2.6). The kernel's own (ndisc_notify) asks for addresses that are there before the interface is up, and those
 * of such a machine do not answer in their first second. Lost is not bad: caches forget by themselves, later.
 */
static void announce_ipv6(int index, const char *address, const char *mac) {
  struct { struct nd_neighbor_advert head; struct nd_opt_hdr option; unsigned char mac[6]; } __attribute__((packed)) message = {
    .head = {.nd_na_type = ND_NEIGHBOR_ADVERT, .nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE},
    .option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1},
  };
  struct sockaddr_in6 from = {.sin6_family = AF_INET6}, everyone = {.sin6_family = AF_INET6, .sin6_scope_id = index};
  int hops = 255, fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
  unsigned char *m = message.mac;
  if (fd < 0) return;
  if (inet_pton(AF_INET6, address, &from.sin6_addr) == 1 && inet_pton(AF_INET6, "ff02::1", &everyone.sin6_addr) == 1
      && sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) == 6
      && !setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) && !bind(fd, (struct sockaddr *)&from, sizeof from)) {
    message.head.nd_na_target = from.sin6_addr;
    sendto(fd, &message, sizeof message, MSG_DONTWAIT, (struct sockaddr *)&everyone, sizeof everyone);
  }
  close(fd);
}

static int add_default_route(int index, const char *gateway) {
  unsigned char bytes[16];
  int family;
  size_t length = parse_address(gateway, bytes, &family);
  if (!length) { errno = EINVAL; return -1; }
  struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_NEWROUTE, .nlmsg_flags = NLM_F_CREATE}};
  struct rtmsg *info = NLMSG_DATA(&r.head);
  info->rtm_family = family;
  info->rtm_table = RT_TABLE_MAIN;
  info->rtm_protocol = RTPROT_STATIC;
  info->rtm_scope = RT_SCOPE_UNIVERSE;
  info->rtm_type = RTN_UNICAST;
  attribute(&r, RTA_GATEWAY, bytes, length);
  attribute(&r, RTA_OIF, &index, sizeof index);
  return ask(&r);
}

static int index_by_mac(const char *mac, char name[IFNAMSIZ]) {
  DIR *dir = opendir("/sys/class/net");
  int index = 0;
  for (struct dirent *e; dir && !index && (e = readdir(dir));) {
    char path[300], text[64];
    snprintf(path, sizeof path, "/sys/class/net/%s/address", e->d_name);
    if (e->d_name[0] == '.' || read_file(path, text, sizeof text) < 17 || strncasecmp(text, mac, 17)) continue;
    index = if_nametoindex(e->d_name);
    snprintf(name, IFNAMSIZ, "%.15s", e->d_name);
  }
  if (dir) closedir(dir);
  return index;
}

static int add_addresses(struct fields f, const char *name, int index, int family, const char *mac, struct failure *why) {
  const char *text;
  char of[16], address[64];
  int prefix;
  for (size_t at = 0; (text = field_next(f, "address", &at));) {
    if (sscanf(text, "%15s %63s %d", of, address, &prefix) != 3 || strcmp(of, name) || (strchr(address, ':') ? AF_INET6 : AF_INET) != family) continue;
    if (add_address(index, address, prefix)) return fail(why, "internal", "address %s: %s", address, strerror(errno));
    if (family == AF_INET6) announce_ipv6(index, address, mac);
  }
  return 0;
}

/* interface=NAME MAC MTU [MAC that it has until now], address=NAME ADDRESS PREFIX, gateway=NAME ADDRESS */
int network_setup(struct fields f, struct failure *why) {
  set_link(1, NULL, 0, true);
  const char *text;
  for (size_t at = 0; (text = field_next(f, "interface", &at));) {
    char name[16], mac[18], before[18] = "", present[IFNAMSIZ] = "", path[128];
    unsigned mtu;
    if (sscanf(text, "%15s %17s %u %17s", name, mac, &mtu, before) < 3) return fail(why, "invalid", "malformed interface");
    int index = index_by_mac(*before ? before : mac, present);
    if (!index) return fail(why, "internal", "no interface with the address %s", *before ? before : mac);
    if (*before && set_mac(index, mac)) return fail(why, "internal", "address of %s: %s", name, strerror(errno));
    /* The host set everything: a router's advertisement has no say. */
    if (set_link(index, strcmp(name, present) ? name : NULL, mtu, false)) return fail(why, "internal", "could not name %s: %s", name, strerror(errno));
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/accept_ra", name);
    write_file(path, "0");
    write_file("/proc/sys/net/ipv4/conf/all/arp_notify", "1"); /* as announce_ipv6, by the kernel, when the interface comes up */
    if (add_addresses(f, name, index, AF_INET, mac, why)) return -1;
    if (set_link(index, NULL, 0, true)) return fail(why, "internal", "could not bring %s up: %s", name, strerror(errno));
    if (add_addresses(f, name, index, AF_INET6, mac, why)) return -1;
    char of[16], address[64];
    for (size_t g = 0; (text = field_next(f, "gateway", &g));)
      if (sscanf(text, "%15s %63s", of, address) == 2 && !strcmp(of, name) && add_default_route(index, address))
        return fail(why, "internal", "route by %s: %s", address, strerror(errno));
  }
  return 0;
}
