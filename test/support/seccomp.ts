/**
 * System calls that the default profiles of container runtimes allow only to who has a capability: of
 * these, those with which mounts, namespaces and other processes are changed.
 */
const guarded: Readonly<Record<string, readonly string[]>> = {
  CAP_SYS_ADMIN: [
    "bpf",
    "fanotify_init",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "perf_event_open",
    "quotactl",
    "setdomainname",
    "sethostname",
    "setns",
    "umount",
    "umount2",
    "unshare",
  ],
  CAP_SYS_CHROOT: ["chroot"],
  CAP_SYS_BOOT: ["reboot"],
  CAP_SYS_MODULE: ["delete_module", "finit_module", "init_module"],
  CAP_SYS_PTRACE: ["kcmp", "pidfd_getfd", "process_madvise"],
};
/** Those that they allow to nobody. */
const forbidden = ["add_key", "keyctl", "pivot_root", "request_key", "swapon", "userfaultfd"];

/**
 * What `RuntimeDefault` is to a container with these capabilities, in the runtime spec's words, where it
 * does not know `unknown`.
 */
export function seccompOf(
  capabilities: readonly string[],
  unknown: readonly string[] = [],
): object {
  const names = Object.entries(guarded).flatMap(([capability, calls]) =>
    capabilities.includes(capability) ? [] : calls,
  );
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: [...names, ...forbidden, ...unknown], action: "SCMP_ACT_ERRNO" }],
  };
}
