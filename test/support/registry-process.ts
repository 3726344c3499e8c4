import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The embedded registry in a process of its own. */
export interface RegistryProcess extends AsyncDisposable {
  readonly pid: number;
  readonly address: string;
  /** Ends it at once, whatever it does. Idempotent. */
  kill(): Promise<void>;
}

/** Serves a folder at a free port, or at `port`; rejects with what it says when it does not start. */
export async function startRegistryProcess(root: string, port = 0): Promise<RegistryProcess> {
  const script = join(import.meta.dirname, "child-registry-server.ts");
  const child = spawn(process.execPath, [script, root, String(port)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (piece: Buffer) => {
    said += piece.toString();
  });
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  for await (const address of createInterface(child.stdout))
    return { pid: child.pid ?? 0, address, kill, [Symbol.asyncDispose]: kill };
  await exited;
  throw new Error(`the registry did not start: ${said}`);
}
