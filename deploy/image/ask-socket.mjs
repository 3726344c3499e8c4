#!/usr/bin/env node
// For probes: `ask-socket SOCKET PATH` asks a server on a unix socket and exits with 0 when it answers
// 200, with 1 and a line that says why otherwise. It loads nothing of Ballast, so it costs a start of
// Node and no more. Its own limit is below the probes' timeoutSeconds: a kubelet that gives up on a
// command does not always end it.
import { request } from "node:http";

const limitMs = 4000;
const [socketPath, path] = process.argv.slice(2);

function fail(why) {
  process.stderr.write(`${socketPath} ${path}: ${why}\n`);
  process.exitCode = 1;
}

const signal = AbortSignal.timeout(limitMs);
const sent = request({ socketPath, path, signal, agent: false, headers: { host: "agent" } });
sent.on("response", (answer) => {
  if (answer.statusCode !== 200) fail(`answered ${answer.statusCode}`);
  answer.resume();
});
sent.on("error", (error) => {
  fail(signal.aborted ? `no answer within ${limitMs / 1000} s` : error.message);
});
sent.end();
