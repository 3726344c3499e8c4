import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { type Manifest, volumeOf } from "./manifests.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";
import { toolPath } from "./programs.ts";
import { seccompOf } from "./seccomp.ts";

/** What an image brings along for its containers, from its config. */
export interface ImageDefaults {
  readonly rootfs: string;
  readonly env: readonly string[];
  readonly workingDirectory: string;
}

/** A container as a kubelet would ask for it. */
export interface PodContainer {
  readonly image: ImageDefaults;
  readonly pod: Manifest;
  readonly container: Manifest;
  /** Folders of this machine for volumes that are no folders of the node, by volume. */
  readonly volumes: Readonly<Record<string, string>>;
  /** What the node tells a container of itself, by name of the variable. */
  readonly fieldRefs?: Readonly<Record<string, string>> | undefined;
  /** System calls that the runtime's filter does not know. */
  readonly unknownCalls?: readonly string[] | undefined;
}

/** A container that runs. */
export interface RunningContainer extends AsyncDisposable {
  readonly process: ProgramProcess;
  /** Runs a command in it, as a probe does; rejects with what it wrote when it fails. */
  exec(command: readonly string[]): Promise<string>;
  /** Bytes of memory that it may use and has used at most. */
  memory(): Promise<{ readonly limit: number; readonly max: number }>;
}

/** What containerd gives a container that asks for nothing. */
const usualCapabilities =
  "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE";
const masked =
  "/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware";
const readOnly = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger";

/** Runs a container to its end; resolves to what it wrote to standard output. */
export async function runContainer(what: PodContainer, command?: string[]): Promise<string> {
  await using bundle = await makeBundle(what, command);
  const { stdout } = await promisify(execFile)(bundle.runc, [...bundle.args, "run", bundle.id], {
    cwd: bundle.path,
  });
  return stdout;
}

/** Starts a container and waits for its ready line. It is gone when it is disposed of. */
export async function startContainer(what: PodContainer, ready: RegExp): Promise<RunningContainer> {
  await using owned = new AsyncDisposableStack();
  const bundle = owned.use(await makeBundle(what));
  const { runc, args, id } = bundle;
  const command = [...args, "run", "--bundle", bundle.path, id];
  const started = await startProgram([runc, ...command], { ready, timeoutMs: 60_000 });
  owned.use(started.process);
  const resources = owned.move();
  return {
    process: started.process,
    exec: async (words) =>
      (await promisify(execFile)(runc, [...args, "exec", id, ...words])).stdout,
    memory: async () => {
      const { stdout } = await promisify(execFile)(runc, [...args, "events", "--stats", id]);
      return JSON.parse(stdout).data.memory.usage;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

interface Bundle extends AsyncDisposable {
  readonly path: string;
  readonly id: string;
  readonly runc: string;
  readonly args: readonly string[];
}

async function makeBundle(what: PodContainer, command?: string[]): Promise<Bundle> {
  const path = await mkdtemp(join(tmpdir(), "ballast-container-"));
  await makeNodeFolders(what.pod);
  await writeFile(join(path, "config.json"), JSON.stringify(runtimeSpec(what, command)));
  const runc = toolPath("runc");
  const args = ["--root", join(path, "state")];
  const id = basename(path);
  return {
    path,
    id,
    runc,
    args,
    async [Symbol.asyncDispose]() {
      await promisify(execFile)(runc, [...args, "delete", "--force", id]).catch(() => undefined);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** What a kubelet makes of `DirectoryOrCreate`: root's folders. */
async function makeNodeFolders(pod: Manifest): Promise<void> {
  for (const { hostPath } of pod["volumes"])
    if (hostPath !== undefined) await mkdir(hostPath.path, { recursive: true, mode: 0o755 });
}

/** The runtime spec of a container, as containerd writes it, but for the network. */
function runtimeSpec(what: PodContainer, command?: string[]): object {
  const { image, pod, container } = what;
  const privileged = container["securityContext"].privileged === true;
  const { runAsUser: uid, runAsGroup: gid, supplementalGroups } = pod["securityContext"];
  const capabilities = capabilitiesOf(container["securityContext"], privileged);
  const env = environmentOf(what);
  const shared = container["volumeMounts"].some(({ mountPropagation }: Manifest) =>
    Boolean(mountPropagation),
  );
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid, gid, additionalGids: supplementalGroups ?? [] },
      args: command ?? expand([...container["command"], ...(container["args"] ?? [])], env),
      env,
      cwd: image.workingDirectory,
      capabilities: {
        bounding: capabilities,
        permitted: uid === 0 ? capabilities : [],
        effective: uid === 0 ? capabilities : [],
      },
      noNewPrivileges: container["securityContext"].allowPrivilegeEscalation === false,
    },
    root: { path: image.rootfs, readonly: container["securityContext"].readOnlyRootFilesystem },
    mounts: [...systemMounts(privileged), ...volumeMounts(what)],
    linux: {
      // The network is the machine's, so that loopback is the test's.
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      resources: {
        memory: { limit: bytesOf(container["resources"].limits.memory) },
        devices: [{ allow: privileged, access: "rwm" }],
      },
      ...(shared ? { rootfsPropagation: "rshared" } : {}),
      ...(privileged ? {} : { maskedPaths: masked.split(" "), readonlyPaths: readOnly.split(" ") }),
      ...(privileged ? {} : { seccomp: seccompOf(capabilities, what.unknownCalls) }),
    },
  };
}

/** Of all that privileged means, what mounting takes: a machine of tests may not have every right. */
function capabilitiesOf(context: Manifest, privileged: boolean): string[] {
  if (privileged)
    return ["SYS_ADMIN", ...usualCapabilities.split(" ")].map((name) => `CAP_${name}`);
  const { drop = [], add = [] }: { drop?: string[]; add?: string[] } =
    context["capabilities"] ?? {};
  const kept = drop.includes("ALL") ? [] : usualCapabilities.split(" ");
  return [...kept, ...add].map((name) => `CAP_${name}`);
}

function environmentOf({ image, container, fieldRefs = {} }: PodContainer): string[] {
  const own = (container["env"] ?? []).map(
    ({ name, value }: Manifest) => `${name}=${value ?? fieldRefs[name]}`,
  );
  return [...image.env, ...own];
}

/** `$(NAME)` in commands is for the kubelet, not for a shell. */
function expand(words: readonly string[], env: readonly string[]): string[] {
  const values = new Map(
    env.map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1)]),
  );
  return words.map((word) =>
    word.replaceAll(/\$\((\w+)\)/g, (text, name: string) => values.get(name) ?? text),
  );
}

function volumeMounts({ pod, container, volumes }: PodContainer): object[] {
  return container["volumeMounts"].map(
    ({ name, mountPath, readOnly: fixed, mountPropagation }: Manifest) => ({
      destination: mountPath,
      type: "bind",
      source: volumeOf(pod, name)["hostPath"]?.path ?? volumes[name],
      options: [
        "rbind",
        mountPropagation === "Bidirectional" ? "rshared" : "rprivate",
        fixed === true ? "ro" : "rw",
      ],
    }),
  );
}

function systemMounts(privileged: boolean): object[] {
  const options = ["nosuid", "noexec", "nodev"];
  const access = privileged ? "rw" : "ro";
  return [
    { destination: "/proc", type: "proc", source: "proc", options },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...options, access] },
  ];
}

function bytesOf(quantity: string): number {
  const [, number = "", unit = ""] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? [];
  return Number(number) * (unit === "Gi" ? 1024 : 1) * 1_048_576;
}
