/* One static program, one job per subcommand: what the daemon cannot do from JavaScript. Each job lives in a file of
 * its own and is linked when its file is there. */
#include <stdio.h>
#include <string.h>

#define JOB(name) int name##_main(int argc, char **argv) __attribute__((weak));
JOB(unpack) JOB(pack) JOB(inflate) JOB(xz) JOB(erofs) JOB(ext4) JOB(disk) JOB(userns) JOB(join) JOB(vm) JOB(proxy) JOB(init) JOB(keep) JOB(boot) JOB(ready) JOB(off) JOB(copy_out) JOB(copy_in) JOB(processes)
#undef JOB

static const struct { const char *name; int (*run)(int, char **); const char *does; } jobs[] = {
  {"unpack", unpack_main, "unpacks a layer inside a jail"},
  {"pack", pack_main, "writes a directory as a layer tar"},
  {"inflate", inflate_main, "decompresses inside a jail"},
  {"xz", xz_main, "decompresses xz inside a jail"},
  {"erofs", erofs_main, "writes layers as one read-only image for VMs"},
  {"ext4", ext4_main, "writes layers as one file system that a VM writes to"},
  {"disk", disk_main, "takes in a disk image: copies, converts or digests it inside a jail"},
  {"userns", userns_main, "holds a user and a network namespace open"},
  {"join", join_main, "joins control groups, then executes"},
  {"vm", vm_main, "starts and watches a virtual machine's QEMU"},
  {"proxy", proxy_main, "carries connections of a published port"},
  {"init", init_main, "reaps orphans as PID 1 of a container"},
  {"boot", boot_main, "makes an OS container its own, then becomes its init"},
  {"ready", ready_main, "waits until the init of an OS container is up"},
  {"off", off_main, "asks the init of an OS container to power off"},
  {"copy-out", copy_out_main, "writes files of an instance as a tar archive, inside of it"},
  {"copy-in", copy_in_main, "takes files from a tar archive, inside of an instance"},
  {"processes", processes_main, "tells of processes, inside of an instance or of the host"},
  {"keep", keep_main, "keeps the daemon running where no systemd does"},
};

int main(int argc, char **argv) {
  if (argc >= 2)
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
      if (jobs[i].run && strcmp(argv[1], jobs[i].name) == 0) return jobs[i].run(argc - 1, argv + 1);
  fprintf(stderr, "usage: %s JOB ...\n", argv[0]);
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
    if (jobs[i].run) fprintf(stderr, "  %-9s %s\n", jobs[i].name, jobs[i].does);
  return 2;
}
