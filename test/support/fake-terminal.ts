import { Readable, Writable } from "node:stream";
import type { OutputStream, Terminal } from "../../src/cli/terminal.ts";

/** A stream that keeps what is written to it, and may claim to be a terminal. */
export interface FakeStream {
  readonly stream: OutputStream & { columns?: number | undefined };
  /** Each write by itself. */
  readonly writes: readonly string[];
  readonly text: () => string;
}

export function createFakeStream(columns?: number): FakeStream {
  const writes: string[] = [];
  const writable = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      writes.push(String(chunk));
      done();
    },
  });
  const stream = Object.assign(writable, { isTTY: columns !== undefined, columns });
  return { stream, writes, text: () => writes.join("") };
}

/** A terminal of a test: nothing of the real process is in it. */
export function createFakeTerminal(
  options: {
    readonly input?: string | undefined;
    readonly environment?: Terminal["environment"] | undefined;
    readonly columns?: number | undefined;
  } = {},
): { readonly terminal: Terminal; readonly out: FakeStream; readonly err: FakeStream } {
  const out = createFakeStream();
  const err = createFakeStream(options.columns);
  const terminal: Terminal = {
    stdin: Readable.from(options.input === undefined ? [] : [options.input]),
    stdout: out.stream,
    stderr: err.stream,
    environment: options.environment ?? {},
    signal: new AbortController().signal,
    stoppedBy: () => undefined,
    onHangUp: () => ({ [Symbol.dispose]: () => undefined }),
  };
  return { terminal, out, err };
}

/**
 * What a terminal shows after all that was written to it: understands newlines, carriage returns
 * and the few escapes that bars use, and wraps long lines.
 */
export function renderScreen(written: string, columns: number): string[] {
  const screen: string[] = [""];
  let row = 0;
  let column = 0;
  const line = () => screen[row] ?? "";
  const tokens = new RegExp(String.raw`\u001b\[(\d*)([AKJ])|[\s\S]`, "gu");
  for (const [token, up, letter] of written.matchAll(tokens)) {
    if (letter === "A") row = Math.max(0, row - Number(up || 1));
    else if (letter === "K") screen[row] = line().slice(0, column);
    else if (letter === "J") {
      screen[row] = line().slice(0, column);
      screen.length = row + 1;
    } else if (token === "\r") column = 0;
    else if (token === "\n") {
      row += 1;
      column = 0;
      screen[row] ??= "";
    } else {
      if (column >= columns) {
        row += 1;
        column = 0;
      }
      screen[row] = line().slice(0, column) + token + line().slice(column + 1);
      column += 1;
    }
  }
  return screen;
}
