// Pushes a folder and pulls it into another one:
//   node examples/library/push-and-pull.ts ./my-model 127.0.0.1:5000/team/my-model:v1 ./out
// In a program of your own, import from "ballast" instead.
import { isModelError, pull, push } from "../../src/index.ts";

const [source = "", reference = "", output = ""] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
const options = { reference, signal: stop.signal, environment: process.env };

try {
  const pushed = await push({ ...options, source });
  process.stdout.write(`pushed ${pushed.name}\n`);

  let arrived = 0;
  const pulled = await pull({
    ...options,
    // The tag may move: what was just pushed is named by its digest.
    reference: pushed.name,
    output,
    onProgress: (event) => {
      if (event.type === "bytes") arrived += event.bytes;
    },
  });
  process.stdout.write(`pulled ${pulled.files} files to ${pulled.path} (${arrived} bytes)\n`);
} catch (error) {
  if (!isModelError(error)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n${error.hint ?? ""}\n`);
  process.exitCode = 1;
}
