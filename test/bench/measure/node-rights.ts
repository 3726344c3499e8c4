import { execFileSync } from "node:child_process";

/** Why this machine cannot run the programs of a node: no root, no mounts. Undefined where it can. */
export function whyNoNode(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, to mount and to run the agent as another user";
  try {
    const mount = ["mount", "-t", "tmpfs", "tmpfs", "/tmp"];
    execFileSync("unshare", ["--mount", "--net", ...mount], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message.trim().replaceAll("\n", " ") : String(error);
    return `cannot mount file systems: ${why}`;
  }
}
