/* The allow-list of jail_seal(): what unpacking and packing need, and nothing that could start, talk or map code. */
#include "jail.h"
#include "job-report.h"
#include "rules.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this architecture"
#endif

#define FIELD(name) (uint32_t)offsetof(struct seccomp_data, name)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(field))
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), ANSWER(SECCOMP_RET_ALLOW)

void jail_seal(void) {
  struct sock_filter code[] = {
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0), ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    ALLOW(read), ALLOW(write), ALLOW(close), ALLOW(openat), ALLOW(openat2), ALLOW(futex), ALLOW(lseek),
    ALLOW(fchownat), ALLOW(fchown), ALLOW(fchmod), ALLOW(fchmodat), ALLOW(utimensat), ALLOW(fsetxattr),
    ALLOW(mkdirat), ALLOW(symlinkat), ALLOW(linkat), ALLOW(unlinkat), ALLOW(readlinkat),
    ALLOW(fstat), ALLOW(newfstatat), ALLOW(getdents64), ALLOW(fgetxattr), ALLOW(flistxattr), ALLOW(ftruncate),
    ALLOW(munmap), ALLOW(madvise), ALLOW(brk), ALLOW(mremap),
    /* sysinfo: how the C library decides where to sort. */
    ALLOW(syncfs), ALLOW(exit), ALLOW(exit_group), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),
    ALLOW(sched_yield), ALLOW(sysinfo), ALLOW(clock_gettime), ALLOW(fadvise64), ALLOW(fcntl), ALLOW(restart_syscall),
    /* Memory is never executable. */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4),
    LOAD(args[2]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0), ANSWER(SECCOMP_RET_ALLOW), ANSWER(SECCOMP_RET_KILL_PROCESS),
    /* The only nodes are FIFOs and the 0:0 whiteout. */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mknodat, 0, 7),
    LOAD(args[2]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, S_IFMT),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, S_IFIFO, 3, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, S_IFCHR, 0, 3),
    LOAD(args[3]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
  if (!RULE_SYSCALL_FILTER || !RULE_JAIL) return;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) fail_errno("install the system call filter");
}

#define DENY(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), ANSWER(SECCOMP_RET_ERRNO | ENOSYS)

void jail_seal_program(void) {
  struct sock_filter code[] = {
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0), ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    DENY(socket), DENY(socketpair), DENY(connect), DENY(bind), DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev), DENY(pidfd_getfd), DENY(kcmp),
    DENY(mount), DENY(umount2), DENY(pivot_root), DENY(open_tree), DENY(move_mount), DENY(fsopen), DENY(fsconfig), DENY(fsmount), DENY(mount_setattr), DENY(unshare), DENY(setns), DENY(chroot),
    DENY(bpf), DENY(perf_event_open), DENY(userfaultfd), DENY(io_uring_setup), DENY(keyctl), DENY(add_key), DENY(request_key), DENY(open_by_handle_at),
    DENY(init_module), DENY(finit_module), DENY(kexec_load), DENY(kexec_file_load),
    ANSWER(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
  if (!RULE_SYSCALL_FILTER || !RULE_JAIL) return;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) fail_errno("install the system call filter");
}
