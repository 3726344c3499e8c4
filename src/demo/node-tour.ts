import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes, formatSeconds } from "../cli/amounts.ts";
import { program, startBallast } from "./ballast-program.ts";
import { compareFiles } from "./equal-files.ts";
import type { TourOptions } from "./tour.ts";

/** A model in a registry, and a folder that holds its files. */
export interface MountedModel {
  readonly reference: string;
  readonly files: string;
}

/**
 * Runs an agent and mounts a model as a pod's volume is, where this process may mount; else says what
 * it leaves out. Rejects when a byte is wrong or the mount can be written.
 */
export async function tourNode(model: MountedModel, options: TourOptions): Promise<void> {
  const { folder, say } = options;
  say("");
  say("On a node: an agent keeps the models, and what mounts one reads it where it lies");
  const reason = whyNot();
  if (reason !== undefined) {
    say(`   left out: ${reason}. As root on Linux the demo ends with such a mount.`);
    return;
  }
  const [root, run, target] = ["node", "run", "mounted"].map((name) => join(folder, name));
  if (root === undefined || run === undefined || target === undefined) return;
  say(`   $ ballast agent --root ${root} --run ${run}`);
  await using _agent = await startAgent(["--root", root, "--run", run]);
  await showMount(model, { ...options, run, target });
}

function whyNot(): string | undefined {
  if (process.platform !== "linux") return "mounting is for Linux";
  if (process.geteuid?.() !== 0) return "mounting needs root";
  return undefined;
}

async function showMount(
  { reference, files }: MountedModel,
  { signal, say, run, target }: TourOptions & { readonly run: string; readonly target: string },
): Promise<void> {
  const ballast = <T>(...args: string[]) =>
    startBallast<T>([...args, "--run", run], { store: run, signal }).result;
  say(`   $ ballast mount ${reference} ${target}`);
  const startedAt = performance.now();
  const mounted = await ballast<{ bytes: number; moved: number }>("mount", reference, target).catch(
    (error: unknown) => {
      const isRight = error instanceof Error && error.message.includes("MOUNT_FAILED");
      if (!isRight) throw error;
      return undefined;
    },
  );
  if (mounted === undefined) {
    say("     left out: this process may not mount (CAP_SYS_ADMIN)");
    return;
  }
  try {
    const seconds = formatSeconds((performance.now() - startedAt) / 1000);
    say(
      `     ${formatBytes(mounted.bytes)} there after ${seconds}, ${formatBytes(mounted.moved)} fetched`,
    );
    const count = await compareFiles(files, target, signal);
    say(`     sha256 of ${count} files through the mount: equal, every one`);
    await refuseWrites(target);
    say("     writing is refused: Read-only file system");
  } finally {
    await ballast("unmount", target);
  }
  say(`   $ ballast unmount ${target}`);
}

async function refuseWrites(target: string): Promise<void> {
  const written = await writeFile(join(target, "new"), "").then(
    () => true,
    () => false,
  );
  if (written) throw new Error(`${target} could be written`);
}

/** Resolves when it serves; disposing ends it. */
async function startAgent(args: readonly string[]): Promise<AsyncDisposable> {
  const child = spawn(program, ["agent", ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const closed = once(child, "close");
  const { promise: serving, resolve, reject } = Promise.withResolvers<void>();
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-10_000);
    if (log.includes('"event":"agent serves"')) resolve();
  });
  child.once("close", () => reject(new Error(`ballast agent ended:\n${log}`)));
  await serving;
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await closed;
    },
  };
}
