/* QEMU opens the file of its memory itself, for reading and writing, also where it maps it privately (MAP_PRIVATE), and it
 * punches holes into it when the guest gives memory back. Many machines share that file, so none of them may hold a
 * writable descriptor. It finds nothing at that path in its jail, and asks to create it, which it asks for nothing else:
 * that is answered from outside, with a descriptor that can only read. Giving back stops at the private pages. */
#include "vm-ram.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* QEMU's number for it: above what the plan hands over. */
enum { RAM_FD = 95 };
#if defined(__x86_64__)
enum { ARCH = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { ARCH = AUDIT_ARCH_AARCH64 };
#endif
#define AT(field) ((unsigned)offsetof(struct seccomp_data, field))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))

int ram_ask(int to) {
  struct sock_filter code[] = {
    LOAD(arch), UNLESS(ARCH, 8),
    LOAD(nr), UNLESS(SYS_openat, 3),
    LOAD(args[2]), UNLESS(O_RDWR | O_CREAT | O_EXCL, 4), RETURN(SECCOMP_RET_USER_NOTIF),
    /* A hole in the shared file: what follows it (MADV_DONTNEED) frees the private page, which is all that was meant. */
    UNLESS(SYS_fallocate, 2), LOAD(args[0]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RAM_FD, 1, 0),
    RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_ERRNO),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (listener < 0) return -1;
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = {0};
  struct iovec data = {"", 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.head), &listener, sizeof listener);
  int result = sendmsg(to, &message, 0) == 1 ? 0 : -1;
  close(listener);
  return result;
}

int ram_answer(int from, int ram, int timeout_ms) {
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control;
  char byte;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1 || message.msg_controllen < CMSG_LEN(sizeof(int))) return -1;
  int listener, result = -1;
  memcpy(&listener, CMSG_DATA(&control.head), sizeof listener);
  struct pollfd asked = {listener, POLLIN, 0};
  /* Zeroed: the kernel refuses anything else. */
  struct seccomp_notif question = {0};
  if (poll(&asked, 1, timeout_ms) == 1 && (asked.revents & POLLIN) && ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) == 0) {
    struct seccomp_notif_addfd answer = {.id = question.id, .flags = SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND, .srcfd = ram, .newfd = RAM_FD, .newfd_flags = O_CLOEXEC};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &answer) == RAM_FD) result = 0;
  }
  close(listener);
  return result;
}
