/**
 * `node test/bench/byte-path.ts [MIB]`: where the CPU seconds of a pull go. Reads one blob of a real
 * registry over the byte path's own sockets, on one thread, and does one thing more in each line.
 */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { forEachConcurrently } from "../../src/core/concurrently.ts";
import { digestOf } from "../../src/core/digest.ts";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { openConnection } from "../../src/transfer/socket/http-connection.ts";
import { makeCertificates } from "../support/certificates.ts";
import { startDistribution } from "../support/real-registries.ts";
import { openWorkspace } from "./workspace.ts";

const mebi = 1_048_576;
const size = Number(process.argv[2] ?? 1024) * mebi;
const rangeBytes = 64 * mebi;
const sockets = 4;

type Sink = (bytes: Uint8Array, position: number) => void;

const cache = ".cache/bench";
await using workspace = await openWorkspace({ dataBytes: 3 * size, folder: undefined, cache });
const { fast: folder } = workspace;
const certificates = await makeCertificates(folder);
const root = join(folder, "registry");
await using plain = await startDistribution({ version: "v3", root });
await using secured = await startDistribution({ version: "v3", root, tls: certificates.server });
const blob = await putBlob();
const target = join(folder, "target");

console.log(
  `${size / mebi} MiB on ${workspace.filesystem} over ${sockets} sockets on one thread; CPU seconds per GiB\n`,
);
console.log("| what | user | system | all |");
console.log("|---|---|---|---|");
for (const url of [blobUrl("http", plain.address), blobUrl("https", secured.address)]) {
  const name = url.protocol.slice(0, -1);
  await report(`${name}: receive`, url, () => undefined);
  await report(`${name}: receive, hash`, url, hashing());
  await report(`${name}: receive, write`, url, writing());
  const [hash, write] = [hashing(), writing()];
  await report(`${name}: receive, hash, write`, url, (bytes, position) => {
    hash(bytes, position);
    write(bytes, position);
  });
}

function blobUrl(scheme: string, host: string): URL {
  return new URL(`${scheme}://${host}/v2/bench/path/blobs/${blob}`);
}

async function putBlob(): Promise<string> {
  const seed = randomBytes(mebi);
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += mebi) {
    seed.writeUInt32LE(at / mebi);
    seed.copy(bytes, at);
  }
  const digest = digestOf(bytes);
  const options = { host: plain.address, repository: "bench/path", writes: true };
  await using repository = await openRegistryRepository(options);
  await repository.putBlob({ digest, size }, () => [bytes]);
  return digest;
}

function hashing(): Sink {
  const hash = createHash("sha256");
  return (bytes) => void hash.update(bytes);
}

/** Into a new file each time: the first write of a page costs more than the next. */
function writing(): Sink {
  rmSync(target, { force: true });
  const fd = openSync(target, "w");
  process.once("exit", () => closeSync(fd));
  return (bytes, position) => void writeSync(fd, bytes, 0, bytes.byteLength, position);
}

async function report(what: string, url: URL, sink: Sink): Promise<void> {
  const ca = await readFile(certificates.authorityFile, "utf8");
  const options = {
    url,
    secureContext: url.protocol === "https:" ? createSecureContext({ ca }) : undefined,
    bufferBytes: mebi / 2,
    connectMs: 10_000,
    headersMs: 30_000,
    bodyMs: 30_000,
  };
  const before = process.cpuUsage();
  const offsets = Array.from({ length: size / rangeBytes }, (_, at) => at * rangeBytes);
  const idle = Array.from({ length: sockets }, () => openConnection(options));
  await forEachConcurrently(offsets, sockets, async (offset) => {
    const connection = idle.pop() ?? openConnection(options);
    let position = offset;
    const onBytes = (bytes: Uint8Array) => {
      sink(bytes, position);
      position += bytes.byteLength;
      return undefined;
    };
    const range = { offset, length: rangeBytes };
    await connection.get({ url, range, headers: {}, onBytes });
    if (position !== offset + rangeBytes) throw new Error(`${what}: bytes are missing`);
    idle.push(connection);
  });
  for (const connection of idle) connection.destroy();
  const { user, system } = process.cpuUsage(before);
  const perGib = (microseconds: number) => (microseconds / 1e6 / (size / 2 ** 30)).toFixed(2);
  console.log(`| ${what} | ${perGib(user)} | ${perGib(system)} | ${perGib(user + system)} |`);
}
