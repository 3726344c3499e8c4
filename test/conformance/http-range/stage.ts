import { closeSync, openSync, readSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { type Digest, digestOf } from "../../../src/core/digest.ts";
import { isModelError, type ModelError } from "../../../src/core/errors.ts";
import type { Credential } from "../../../src/registry/client/auth/credential.ts";
import type { RegistryRepositoryOptions } from "../../../src/registry/client/registry-repository.ts";
import type { FileSlice, RangeReader } from "../../../src/transfer/range-reader.ts";
import type { KeyPair } from "../../support/certificates.ts";
import { makeTemporaryFolder } from "../../support/models.ts";
import { type RawRangeServer, startRawRangeServer } from "../../support/raw-range-server.ts";
import { seededBytes } from "../../support/workplace.ts";

/** How a reader reaches the server. */
export type HttpReaderSetup = Pick<
  RegistryRepositoryOptions,
  | "host"
  | "repository"
  | "ca"
  | "plainHttp"
  | "credentials"
  | "environment"
  | "retry"
  | "timeouts"
  | "guard"
>;

/** A reader of one repository, and the requests its repository counted. */
export interface HttpReaderUnderTest extends AsyncDisposable {
  readonly reader: RangeReader;
  /** Whether connections stay open when it is disposed; by default none does. */
  readonly keepsConnections?: boolean | undefined;
  readonly requests: { readonly registry: number; readonly redirected: number };
}

export type HttpReaderFactory = (setup: HttpReaderSetup) => Promise<HttpReaderUnderTest>;

/** What the servers hold. */
export const content: Buffer = seededBytes("raw content", 1_500_000);
const blob: Digest = digestOf(content);
/** What is in a file before a range is read into it. */
const blank = Buffer.alloc(content.byteLength, 7);
/** In the middle of it, large enough for any way to read it. */
export const middle: ByteSpan = { offset: 1000, length: 1_200_000 };
const password = "hunter2";
/** What a signed URL must not show; redirects of the suite have it in their query. */
export const signature = "presigned";

export const credential: Credential = {
  kind: "password",
  username: "user",
  password,
  origin: "from a test",
};

export interface ByteSpan {
  readonly offset: number;
  readonly length: number;
}

/** A server and a reader of it; disposing it checks that the reader closed its connections. */
export interface Stage extends AsyncDisposable {
  readonly server: RawRangeServer;
  readonly under: HttpReaderUnderTest;
  /** Reads a range into a file and checks every byte, digest and count. */
  read(span?: ByteSpan): Promise<void>;
  /**
   * Reads a range that cannot be had; resolves to the error. Checks that it names host and blob,
   * shows no secret, and that what was told before is in the file.
   */
  refused(span?: ByteSpan): Promise<ModelError>;
  /** Reads a range whatever comes of it: right bytes, or what `refused` resolves to. */
  attempt(span?: ByteSpan): Promise<ModelError | undefined>;
}

export interface StageOptions {
  /** With it the server speaks TLS, and the reader is told to. */
  readonly tls?: KeyPair | undefined;
  /** The authorities the reader trusts. */
  readonly ca?: string | readonly string[] | undefined;
  readonly address?: string | undefined;
  readonly setup?: Partial<HttpReaderSetup> | undefined;
}

/** How often a request that failed may be sent again: soon, and not often. */
const retry = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2 };
/** More requests than any failure of one range may cost. */
export const mostRequests: number = 2 * retry.attempts + 2;

/** How to wait for what takes a moment: hundreds of tests do. */
export const soon = { interval: 2, timeout: 5000 };

/** Starts a server and opens a reader of its repository. */
export async function openStage(
  create: HttpReaderFactory,
  { tls, ca, address, setup }: StageOptions,
): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await makeTemporaryFolder());
  const server = stack.use(await startRawRangeServer({ content, tls, address }));
  const trust = tls === undefined ? {} : { plainHttp: false, ca };
  const common = { host: server.host, repository: "team/model", retry };
  const options = { ...common, ...trust, ...setup };
  const under = await create(options);
  let files = 0;

  async function attempt(span: ByteSpan = middle): Promise<ModelError | undefined> {
    const path = join(folder.path, `file ${(files += 1)}`);
    await writeFile(path, blank);
    const slices = slicesOf(path, span);
    const told: Digest[] = [];
    const onSlices = (first: number, digests: readonly Digest[]) => {
      expect(first).toBe(told.length);
      told.push(...digests);
    };
    let counted = 0;
    const onBytes = (bytes: number) => {
      counted += bytes;
    };
    const reading = under.reader.readInto({ layer: blob, ...span }, slices, { onBytes, onSlices });
    const outcome = await reading.catch((error: unknown) => error);
    const file = readHeld(path);
    expectUntouched(file, span);
    const here = slices.slice(0, told.length);
    expect(told).toEqual(here.map(digestOfSlice));
    for (const { offset, size } of here)
      expect(file.compare(content, offset, offset + size, offset, offset + size)).toBe(0);
    if (isModelError(outcome)) return outcome;
    expect(outcome).toEqual(slices.map(digestOfSlice));
    expect([counted, told.length]).toEqual([span.length, slices.length]);
    return undefined;
  }

  const owned = stack.move();
  return {
    server,
    under,
    attempt,
    read: async (span) => {
      const failure = await attempt(span);
      if (failure !== undefined) throw failure;
    },
    refused: async (span) => {
      const failure = await attempt(span);
      if (failure === undefined) throw new Error("it should have failed");
      expect(failure.message).toContain(options.host);
      // Who may read is a matter of the repository, not of one blob.
      expect(failure.message).toContain(failure.code === "UNAUTHORIZED" ? "team/model" : blob);
      const shown = `${failure.message} ${failure.hint}`;
      for (const secret of [password, signature]) expect(shown).not.toContain(secret);
      return failure;
    },
    async [Symbol.asyncDispose]() {
      await using _ = owned;
      await under[Symbol.asyncDispose]();
      if (under.keepsConnections === true) return;
      await vi.waitFor(() => expect(server.open).toBe(0), soon);
    },
  };
}

/** So many that most breaks fall into one of them. */
const sliceBytes = 150_000;

function slicesOf(path: string, { offset, length }: ByteSpan): FileSlice[] {
  const slices: FileSlice[] = [];
  for (let at = offset; at < offset + length; at += sliceBytes)
    slices.push({ path, offset: at, size: Math.min(sliceBytes, offset + length - at) });
  return slices;
}

function digestOfSlice({ offset, size }: FileSlice): Digest {
  return digestOf(content.subarray(offset, offset + size));
}

/** One byte more than a file should have. */
const held = Buffer.alloc(content.byteLength + 1);

/** What is in a file, until the next is read: a buffer for each would keep the collector busy. */
function readHeld(path: string): Buffer {
  const file = openSync(path, "r");
  try {
    return held.subarray(0, readSync(file, held));
  } finally {
    closeSync(file);
  }
}

/** Outside of the range nothing was written. */
function expectUntouched(file: Buffer, { offset, length }: ByteSpan): void {
  expect(file.byteLength).toBe(content.byteLength);
  for (const [from, to] of [
    [0, offset],
    [offset + length, content.byteLength],
  ])
    expect(file.compare(blank, from, to, from, to)).toBe(0);
}
