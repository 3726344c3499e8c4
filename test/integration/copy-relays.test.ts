import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copy } from "../../src/index.ts";
import type { CopyOptions } from "../../src/model/copy.ts";
import { openRepository, putArtifact } from "../support/artifacts.ts";
import { makeCertificates } from "../support/certificates.ts";
import { startForwardProxy } from "../support/forward-proxy.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { startPutServer } from "../support/put-server.ts";
import {
  errorBody,
  type FaultRegistry,
  type FaultRegistryOptions,
  startFaultRegistry,
} from "../support/registry-faults.ts";
import { mebi } from "../support/workplace.ts";

let source: FaultRegistry;
let open: AsyncDisposableStack;

beforeEach(async () => {
  open = new AsyncDisposableStack();
  source = open.use(await startFaultRegistry());
});
afterEach(() => open.disposeAsync());

async function startTarget(options?: FaultRegistryOptions): Promise<FaultRegistry> {
  return open.use(await startFaultRegistry(options));
}

/** Puts an artifact as `v1` whose layers are large enough for a relay, of the size of the first. */
async function putSource(layers: readonly string[] = ["one"]): Promise<void> {
  await using opened = await openRepository(`${source.host}/from`);
  await putArtifact(opened.repository, "art", { as: "v1", layers, layerBytes: 5 * mebi });
}

function copyTo(target: FaultRegistry, options: Partial<CopyOptions> = {}) {
  return copy({ source: `${source.host}/from:v1`, target: `${target.host}/to`, ...options });
}

type OtherAnswer = NonNullable<ReturnType<NonNullable<FaultRegistry["intercept"]>>>;

/** The relays that a registry was sent, which say so: undici keeps its connections. */
function relaysTo({ seen }: FaultRegistry) {
  return seen.filter(({ method, url, headers }) => isRelay({ method, url, headers }));
}

function isRelay(seen: Pick<FaultRegistry["seen"][number], "method" | "url" | "headers">): boolean {
  return (
    seen.method === "PUT" && seen.url.includes("/uploads/") && seen.headers.connection === "close"
  );
}

function expectWhole(target: FaultRegistry): void {
  expect([...target.blobs.keys()].sort()).toEqual([...source.blobs.keys()].sort());
}

describe("a copy of large blobs between registries", () => {
  test("brings each with one GET and one PUT of its threads", async () => {
    await putSource(["one", "two", "three"]);
    const target = await startTarget();
    const { blobs, bytes } = await copyTo(target);
    expect(blobs).toMatchObject({ moved: 4 });
    expect(bytes.moved).toBe(bytes.total);
    expectWhole(target);
    expect(relaysTo(target)).toHaveLength(3);
    expect(
      source.seen.filter(({ headers }) => headers.range === `bytes=0-${5 * mebi - 1}`),
    ).toHaveLength(3);
  });

  test.each<{ readonly what: string; readonly answer: OtherAnswer }>([
    { what: "has forgotten the upload", answer: { status: 404, body: errorBody("UNKNOWN") } },
    { what: "asks to wait", answer: { status: 429, headers: { "retry-after": "0" } } },
    { what: "fails", answer: { status: 500 } },
    { what: "sends it elsewhere", answer: { status: 307 } },
    { what: "resets the connection", answer: { reset: true } },
  ])("whose target $what sends the blob again", async ({ answer }) => {
    await putSource();
    const target = await startTarget();
    target.intercept = (seen) =>
      isRelay(seen) ? { ...answer, headers: { ...answer.headers, location: seen.url } } : undefined;
    const { bytes } = await copyTo(target);
    expect(bytes.moved).toBe(bytes.total);
    expectWhole(target);
    expect(relaysTo(target)).toHaveLength(1);
  });

  test("whose target takes its token no more sends the blob again with another", async () => {
    await putSource();
    const target = await startTarget({ auth: "bearer" });
    target.intercept = (seen) => {
      if (isRelay(seen)) target.tokens.clear();
      return undefined;
    };
    await copyTo(target);
    expectWhole(target);
    expect(relaysTo(target)).toHaveLength(1);
  });

  test("whose target breaks off in the middle sends the blob again", async () => {
    await putSource();
    const target = await startTarget();
    target.uploadResets.push(Number.POSITIVE_INFINITY, mebi); // The first is the config.
    const { bytes } = await copyTo(target, { transfer: { connections: 1 } });
    expect(bytes.moved).toBe(bytes.total);
    expectWhole(target);
  });

  test("that the target refuses for good says so, and names it", async () => {
    await putSource();
    const target = await startTarget();
    target.intercept = ({ method, url }) =>
      method === "PUT" && url.includes("/uploads/")
        ? { status: 413, body: errorBody("SIZE_INVALID") }
        : undefined;
    await expect(copyTo(target)).rejects.toMatchObject({
      code: "REGISTRY_LIMIT",
      message: expect.stringMatching(`^target.*${target.host}`) as string,
    });
    expect(target.manifests.size).toBe(0);
  });

  test("whose relays come to nothing tries no more than two of them", async () => {
    await putSource(["one", "two", "three", "four"]);
    const target = await startTarget();
    target.intercept = (seen) => (isRelay(seen) ? { status: 400 } : undefined);
    await copyTo(target, { transfer: { connections: 1 } });
    expectWhole(target);
    expect(relaysTo(target)).toHaveLength(2);
  });

  test.each([1000, 2 * mebi])("whose source breaks after %d bytes goes on", async (resetAfter) => {
    await putSource();
    const target = await startTarget();
    source.blobFaults.push({ resetAfter, leastBytes: mebi });
    const { bytes } = await copyTo(target);
    expect(bytes.moved).toBe(bytes.total);
    expectWhole(target);
  });

  test("whose source gives wrong bytes blames it, and the target gets none", async () => {
    await putSource();
    const target = await startTarget();
    const replace = (bytes: Buffer) => Buffer.alloc(bytes.byteLength);
    const wrong = { leastBytes: mebi, replace };
    source.blobFaults.push(wrong, wrong);
    await expect(copyTo(target)).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
      message: expect.stringMatching(`^source.*${source.host}`) as string,
    });
    const whole = target.seen.filter(({ body }) => body.byteLength >= 5 * mebi);
    expect(whole).toEqual([]);
  });

  test.each(["source", "target"] as const)(
    "whose %s is behind a proxy goes through it",
    async (side) => {
      await putSource();
      const target = await startTarget();
      const hidden = side === "source" ? source : target;
      const proxy = open.use(await startForwardProxy(hidden.host));
      const hosts = {
        source: source.host,
        target: target.host,
        [side]: "registry.example.com:5000",
      };
      hidden.intercept = ({ headers }) => {
        expect(headers.host).toBe("registry.example.com:5000");
        return undefined;
      };
      await copy({
        source: `${hosts.source}/from:v1`,
        target: `${hosts.target}/to`,
        from: { plainHttp: true },
        to: { plainHttp: true },
        environment: { HTTP_PROXY: proxy.url },
      });
      expectWhole(target);
      expect(proxy.seen.length).toBeGreaterThan(0);
    },
  );

  test("uses no sockets of its own where that is switched off", async () => {
    await putSource();
    const target = await startTarget();
    await copyTo(target, { transfer: { sockets: false } });
    expectWhole(target);
    expect(relaysTo(target)).toEqual([]);
  });

  test("gives its token to the target, and to no other place that takes the upload", async () => {
    await putSource();
    const target = await startTarget({ auth: "bearer" });
    await copyTo(target);
    expect(relaysTo(target).map(({ headers }) => headers.authorization)).toEqual([
      expect.stringMatching(/^Bearer /),
    ]);
    const elsewhere = open.use(await startPutServer());
    const other = await startTarget({ auth: "bearer" });
    other.rewriteLocation = () => elsewhere.url.href;
    await copyTo(other);
    expect(elsewhere.digests).toHaveLength(2);
    expect(elsewhere.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
    ]);
    expect(elsewhere.requests.filter(({ headers }) => headers.connection === "close")).toHaveLength(
      1,
    );
  });

  test("sends nothing to a place that the guard of the target refuses", async () => {
    await putSource();
    const elsewhere = open.use(await startPutServer());
    const target = await startTarget();
    target.rewriteLocation = () => elsewhere.url.href;
    await expect(copyTo(target, { to: { guard: {} } })).rejects.toMatchObject({
      code: "FORBIDDEN",
    });
    expect(elsewhere.requests).toEqual([]);
  });

  test("trusts the authorities of each side there, and nobody else", async () => {
    await putSource();
    await using folder = await makeTemporaryFolder();
    const { authority, server } = await makeCertificates(folder.path);
    const target = await startTarget({ tls: server });
    const secure = { plainHttp: false, ca: [authority] };
    await copyTo(target, { to: secure, from: { plainHttp: true } });
    expectWhole(target);
    expect(relaysTo(target)).toHaveLength(1);
    const other = await startTarget();
    await copy({
      source: `${target.host}/to:v1`,
      target: `${other.host}/to`,
      from: secure,
      to: { plainHttp: true },
    });
    expectWhole(other);
    expect(relaysTo(other)).toHaveLength(1);
  });

  test("that is aborted ends with CANCELLED, without a manifest", async () => {
    await putSource(["one", "two", "three", "four", "five"]);
    const target = await startTarget();
    const stop = new AbortController();
    source.intercept = ({ headers }) => {
      if (headers.range?.endsWith(`-${5 * mebi - 1}`) === true) stop.abort();
      return undefined;
    };
    await expect(copyTo(target, { signal: stop.signal })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expect(target.manifests.size).toBe(0);
  });
});
