import { ModelError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";

type Asked = Pick<Terminal, "stdin" | "stderr" | "signal">;

/** Tells whether somebody is there to be asked. */
export function canAsk({ stdin, stderr }: Asked): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/** Asks for a line on standard error; empty at the end of the input. */
export async function askLine(question: string, terminal: Asked): Promise<string> {
  const { stdin, stderr, signal } = terminal;
  const { createInterface } = await import("node:readline");
  stderr.write(question);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // Without a terminal's own editing: then the terminal edits the line, and Ctrl-C is a signal.
  const lines = createInterface({ input: stdin, terminal: false });
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  lines.once("line", resolve).once("close", () => resolve(""));
  try {
    signal.throwIfAborted();
    return (await promise).trim();
  } finally {
    signal.removeEventListener("abort", stop);
    lines.close();
    stdin.pause();
  }
}

/** Asks a question whose answer is no, unless somebody says yes. */
export async function askYesNo(question: string, terminal: Asked): Promise<boolean> {
  return /^y(?:es)?$/i.test(await askLine(`${question} [y/N] `, terminal));
}

const keys = { interrupt: "\x03", end: "\x04", backspace: ["\x7f", "\b"], clear: "\x15" };
const maxSecret = 65_536;

/** Asks for a secret and shows nothing of it. Rejects with CANCELLED on Ctrl-C. */
export async function askSecret(question: string, terminal: Asked): Promise<string> {
  const { stdin, stderr, signal } = terminal;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let typed = "";
  const read = (piece: unknown) => {
    for (const key of String(piece)) {
      if (key === keys.interrupt) return reject(new ModelError("CANCELLED", "stopped by Ctrl-C"));
      if (key === "\r" || key === "\n" || key === keys.end) return resolve(typed);
      if (key === keys.clear) typed = "";
      else if (keys.backspace.includes(key)) typed = typed.replace(/.$/su, "");
      else if (typed.length < maxSecret) typed += key;
    }
  };
  const end = () => resolve(typed);
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  // Before the question: who types at once would see it.
  stdin.setRawMode?.(true);
  stderr.write(question);
  // What was asked before has paused it.
  stdin.on("data", read).once("end", end).resume();
  try {
    signal.throwIfAborted();
    return await promise;
  } finally {
    stdin.off("data", read).off("end", end).pause();
    stdin.setRawMode?.(false);
    signal.removeEventListener("abort", stop);
    stderr.write("\n");
  }
}
