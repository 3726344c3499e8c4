import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bootId } from "../../src/core/boot-id.ts";
import { fileId, type IndexedFile } from "../../src/core/chunk-index.ts";
import { pull } from "../../src/model/pull.ts";
import { journalHeader, journalRecord } from "../../src/store/journal.ts";
import { openStore } from "../../src/store/store.ts";
import { originKey, originOf } from "../../src/store/store-paths.ts";
import { type CrashOrigin, openRegistryOrigin } from "../support/crash-origin.ts";
import { makeSafetensors, writeTree } from "../support/models.ts";
import { makeFolder } from "../support/store-folders.ts";
import { mebi, readTree, seededBytes } from "../support/workplace.ts";

const anotherBoot = "11111111-2222-4333-8444-555555555555";

let folder: Awaited<ReturnType<typeof makeFolder>>;
let origin: CrashOrigin;
let file: IndexedFile;
let content: Buffer;
let stores = 0;
let root: string;

/** One large file of four chunks: the header, two tensors of 2 MiB, a small one. */
beforeAll(async () => {
  folder = await makeFolder();
  origin = await openRegistryOrigin(folder.path);
  const tensors = [2 * mebi, 2 * mebi, 50_000].map((size, at) => {
    return { name: `t${at}`, dtype: "U8", shape: [size], bytes: seededBytes(`t${at}`, size) };
  });
  content = makeSafetensors(tensors);
  await writeTree(source(), { "model.safetensors": content });
  const [only] = await origin.push(source());
  if (only === undefined) throw new Error("no file");
  file = only;
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});
beforeEach(() => {
  stores += 1;
  root = join(folder.path, `store-${stores}`);
});

const source = () => join(folder.path, "source");
const everything = () => [...file.chunks.keys()];
const sizeOf = (numbers: readonly number[]) =>
  numbers.reduce((sum, number) => sum + (file.chunks[number]?.size ?? 0), 0);

/** What a killed pull leaves: the large file with these chunks in their places, and its journal. */
async function leaveUnfinished(chunks: readonly number[], journal: string | Buffer): Promise<void> {
  await using store = await openStore(root);
  const repository = origin.reference.replace(/:[^:]+$/, "");
  const ingest = join(store.paths.ingest, originKey(originOf(repository)), fileId(file));
  await mkdir(ingest, { recursive: true });
  await writeFile(join(ingest, "journal"), journal);
  await using data = await open(join(ingest, "data"), "w");
  await data.truncate(file.size);
  let offset = 0;
  for (const [number, { size }] of file.chunks.entries()) {
    if (chunks.includes(number)) await data.write(content, offset, size, offset);
    offset += size;
  }
}

function journalOf(chunks: readonly number[], boot: string | undefined = bootId()): string {
  return journalHeader(boot) + chunks.map(journalRecord).join("");
}

/** Pulls to the end; resolves to the bytes of layers that the registry served. */
async function finish(): Promise<number> {
  let path = "";
  const served = await origin.count(async () => {
    const pulled = await pull({ reference: origin.reference, store: root });
    path = pulled.path;
    return pulled;
  });
  expect(await readTree(path)).toEqual(await readTree(source()));
  expect(await readdir(join(root, "files"))).toEqual([fileId(file)]);
  return served;
}

describe("a pull after power loss", () => {
  test("fetches each chunk whose bytes are zeros, whatever the journal says, and no other", async () => {
    for (const lost of [[0], [1], [2], [3], [0, 2], [1, 2, 3], everything(), []]) {
      root = join(folder.path, `lost-${lost.join("-")}`);
      const kept = everything().filter((number) => !lost.includes(number));
      await leaveUnfinished(kept, journalOf(everything(), anotherBoot));
      expect([lost, await finish()]).toEqual([lost, sizeOf(lost)]);
    }
  });

  test("fetches again what the journal does not name, be it there or not", async () => {
    await leaveUnfinished(everything(), journalOf([0, 1], anotherBoot));
    expect(await finish()).toBe(sizeOf([2, 3]));
  });

  test("asks the bytes where the journal is zeros as well", async () => {
    const journal = Buffer.alloc(journalOf(everything(), anotherBoot).length);
    await leaveUnfinished([0, 1, 3], journal);
    expect(await finish()).toBe(sizeOf([2]));
  });
});

describe("a pull that finds its journal", () => {
  test("cut off at any byte of the last record fetches that chunk alone", async () => {
    const last = journalRecord(3);
    for (let cut = 0; cut <= last.length; cut += 1) {
      root = join(folder.path, `cut-${cut}`);
      const journal = journalOf([0, 1, 2]) + last.slice(0, last.length - cut);
      await leaveUnfinished([0, 1, 2, 3], journal);
      expect([cut, await finish()]).toEqual([cut, cut === 0 ? 0 : sizeOf([3])]);
    }
  });

  test.each<[string, (journal: string) => string | Buffer]>([
    ["with garbage behind it", (journal) => `${journal}garbage\n`],
    ["with zeros behind it", (journal) => Buffer.concat([Buffer.from(journal), Buffer.alloc(512)])],
    ["with a record that has rotted", (journal) => journal.replace("\n1 ", "\n2 ")],
    ["of a format that is not known", (journal) => journal.replace("journal 1", "journal 2")],
    ["with a damaged first line", (journal) => journal.replace("ballast", "Ballast")],
    ["empty", () => ""],
    ["of random bytes", () => seededBytes("journal", 4096)],
  ])("%s believes the bytes, not the journal", async (_, damage) => {
    await leaveUnfinished([0, 1, 3], damage(journalOf([0, 1, 3])));
    expect(await finish()).toBe(sizeOf([2]));
    expect(await readFile(join(root, "VERSION"), "utf8")).toBe("1\n");
  });

  test("with records of chunks that the file does not have passes over them", async () => {
    await leaveUnfinished([0, 1], journalOf([0, 99, 1, 1, 4]));
    expect(await finish()).toBe(sizeOf([2, 3]));
  });
});
