import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ModelError, systemCode } from "../../src/core/errors.ts";

/**
 * Runs a program and resolves to what it printed. Rejects with SOURCE_UNREADABLE where it is not
 * installed (`hint` says what to do then), or with what it wrote when it failed.
 */
export async function runProgram(
  command: readonly [program: string, ...args: string[]],
  options: { readonly cwd?: string | undefined; readonly hint?: string | undefined } = {},
): Promise<string> {
  const [program, ...args] = command;
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      maxBuffer: 16_777_216,
    });
    return stdout.trim();
  } catch (cause) {
    const absent = systemCode(cause) === "ENOENT";
    const why = absent ? "is not installed" : `failed: ${outputOf(cause)}`;
    throw new ModelError("SOURCE_UNREADABLE", `${program} ${why}`, { hint: options.hint, cause });
  }
}

function outputOf(error: unknown): string {
  const written: unknown = Reflect.get(Object(error), "stderr");
  const text = typeof written === "string" ? written.trim() : "";
  return text === "" ? String(error) : text.slice(-2000);
}
