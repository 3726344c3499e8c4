import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type RegistryOptions,
  type RegistryServer,
  startRegistry,
} from "../../src/registry/server/server.ts";
import { checkAnyway as check, found, words } from "../support/check-answers.ts";
import { type Lie, startLyingRegistry, type TrustingRequest } from "../support/lying-registry.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await makeTemporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const start = (options: Omit<RegistryOptions, "root"> = {}): Promise<RegistryServer> =>
  startRegistry({ root: folder.path, ...options });

describe("a check of a registry that lies", () => {
  interface Case {
    readonly name: string;
    readonly lie: (request: TrustingRequest) => Lie | undefined;
    readonly id: string;
    readonly answer: string;
    readonly topic?: string;
    readonly says?: string;
  }
  const isUpload = (url: string) => url.includes("/blobs/uploads/");
  const isBlob = (url: string) => /\/blobs\/sha256:/.test(url);
  const says201 = { instead: { status: 201 } };
  const cases: readonly Case[] = [
    {
      name: "says 201 for a blob and stores nothing",
      lie: ({ method, url }) => (method === "PUT" && isUpload(url) ? says201 : undefined),
      id: "upload",
      answer: "wrong says that it is stored, then 404",
      topic: "push",
      says: "fails: it says yes and does something else",
    },
    {
      name: "says 201 for a manifest and stores nothing",
      lie: ({ method, url }) =>
        method === "PUT" && url.includes("/manifests/") ? says201 : undefined,
      id: "manifest-put",
      answer: "wrong says that it is stored, then 404",
      topic: "push",
      says: "fails: ",
    },
    {
      name: "names another digest than that of a manifest",
      lie: ({ method, url }) =>
        method === "HEAD" && url.includes("/manifests/")
          ? {
              change: ({ headers }) => ({
                headers: { ...headers, "docker-content-digest": `sha256:${"0".repeat(64)}` },
              }),
            }
          : undefined,
      id: "manifest-head",
      answer: "wrong 200 with another Docker-Content-Digest",
      topic: "what is there",
      says: "fails: it says yes",
    },
    {
      name: "says that it has what it has not",
      lie: ({ method, url }) =>
        method === "HEAD" && isBlob(url) ? { change: () => ({ status: 200 }) } : undefined,
      id: "blob-missing",
      answer: "wrong 200 for what is not there",
      topic: "push",
      says: "fails: ",
    },
    {
      name: "sends the whole blob for a range",
      lie: ({ headers }) => (headers.range === undefined ? undefined : withoutRange(headers)),
      id: "range",
      answer: "no 200 with the whole blob",
      topic: "pull of parts",
      says: "slow: ",
    },
    {
      name: "sends other bytes than the range that it names",
      lie: ({ headers }) =>
        headers.range === undefined
          ? undefined
          : { change: ({ body }) => ({ body: Buffer.from(body.map((byte) => byte ^ 1)) }) },
      id: "range",
      answer: "wrong 206 with other bytes",
      topic: "pull of parts",
      says: "fails: ",
    },
    {
      name: "drops all chunks but the first and says 201",
      lie: dropChunks(),
      id: "chunks",
      answer: "wrong says that it is stored, then 404",
      topic: "other clients",
      says: "limited: no uploads in chunks",
    },
    {
      name: "says 401 to each push, whatever the login",
      lie: ({ method, url }) =>
        method === "PUT" && isUpload(url)
          ? { instead: { status: 401, headers: { "www-authenticate": "Basic realm=x" } } }
          : undefined,
      id: "upload",
      answer: "no 401 with every login",
      topic: "push",
      says: "fails: a layer cannot be pushed",
    },
    {
      name: "has pages of tags that lead to themselves",
      lie: ({ url }) =>
        url.includes("/tags/list")
          ? {
              instead: {
                headers: { link: `<${url}>; rel="next"` },
                body: Buffer.from('{"tags":["v1"]}'),
              },
            }
          : undefined,
      id: "tags",
      answer: "wrong pages that repeat",
    },
    {
      name: "has no end of tags",
      lie: ({ url, count }) =>
        url.includes("/tags/list")
          ? {
              instead: {
                headers: { link: `</v2/team/models/tags/list?page=${count}>; rel="next"` },
                body: Buffer.from('{"tags":["v1"]}'),
              },
            }
          : undefined,
      id: "tags",
      answer: "partly more than 100 pages",
    },
    {
      name: "sends a blob without end",
      lie: ({ method, url }) =>
        method === "GET" && isBlob(url) ? { instead: "endless" } : undefined,
      id: "upload",
      answer: "wrong stores other bytes than were sent",
    },
    {
      name: "redirects blobs in a circle",
      lie: ({ method, url }) =>
        method === "GET" && isBlob(url)
          ? { instead: { status: 307, headers: { location: url } } }
          : undefined,
      id: "upload",
      answer: "no an answer that cannot be followed",
    },
    {
      name: "shows a login page for referrers",
      lie: ({ url }) =>
        url.includes("/referrers/")
          ? { instead: { body: Buffer.from("<html>Log in") } }
          : undefined,
      id: "referrers",
      answer: "no 200 without a list of referrers",
      topic: "signatures",
      says: "limited: no Referrers API",
    },
    {
      name: "takes no chunk above 4 MiB, and says of every blob that is to go that it is not there",
      lie: ({ method, url, headers }) => {
        if (method === "DELETE" && isBlob(url)) return { instead: { status: 404 } };
        const isLarge = Number(headers["content-length"] ?? 0) > 4_194_304;
        return method === "PATCH" && isLarge ? { instead: { status: 416 } } : undefined;
      },
      id: "chunk-large",
      answer: "no 416",
      topic: "other clients",
      says: "limited: no chunks of 5 MiB; Ballast sends none",
    },
    {
      name: "opens uploads at a place that is none",
      lie: ({ method, url }) =>
        method === "POST" && isUpload(url)
          ? { change: ({ headers }) => ({ headers: { ...headers, location: "ftp://x/" } }) }
          : undefined,
      id: "upload",
      answer: "wrong 202 without a Location that can be used",
    },
  ];
  test.each(cases)("$name: tells, and ends", async ({ lie, id, answer, topic, says }) => {
    await using registry = await start();
    await using liar = await startLyingRegistry(registry.address);
    liar.lie = lie;
    const result = await check(liar.address);
    expect(found(result, id)).toContain(answer);
    if (topic !== undefined) expect(words(result, topic)).toContain(says);
  });

  test("says that it deletes and keeps everything: what stays is told", async () => {
    await using registry = await start();
    await using liar = await startLyingRegistry(registry.address);
    liar.lie = ({ method, url }) =>
      method === "DELETE" && !isUpload(url) ? { instead: { status: 202 } } : undefined;
    const result = await check(liar.address, { acceptLeftovers: false });
    expect(found(result, "delete-manifest")).toBe("wrong says that it is gone, then 200");
    expect(result.left.tags).not.toEqual([]);
    expect(words(result, "delete")).toContain("limited: models cannot be deleted");
  });

  test("falls silent: each behaviour gets its time and no more", async () => {
    await using registry = await start();
    await using liar = await startLyingRegistry(registry.address);
    liar.lie = ({ method, url }) =>
      method === "GET" && isBlob(url) ? { instead: "silent" } : undefined;
    const result = await check(liar.address, { probeMs: 500 });
    expect(found(result, "upload")).toBe("no no answer in time");
    expect([result.pushes, result.pulls]).toEqual([false, undefined]);
  });

  test("lets nobody in: UNAUTHORIZED, without a word of what it sends back", async () => {
    await using registry = await start();
    await using liar = await startLyingRegistry(registry.address);
    const credentials = { username: "tester", password: "HUNTERSECRET" };
    liar.lie = ({ headers }) => ({
      instead: {
        status: 401,
        headers: { "www-authenticate": "Basic realm=x" },
        body: errorOf(String(headers.authorization)),
      },
    });
    const refusal = await check(liar.address, { credentials }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "UNAUTHORIZED" });
    expect(String(refusal)).not.toMatch(/HUNTERSECRET|dGVzdGVy/);
    expect(liar.count).toBeLessThan(12);
  });

  test("sends the login back in its errors: they are not shown", async () => {
    await using registry = await start({ auth: { username: "tester", password: "HUNTERSECRET" } });
    await using liar = await startLyingRegistry(registry.address);
    liar.lie = () => ({
      change: ({ status, headers, body }) =>
        status < 400 || status === 401
          ? { status, headers, body }
          : { body: errorOf("HUNTERSECRET") },
    });
    const credentials = { username: "tester", password: "HUNTERSECRET" };
    const result = await check(liar.address, { credentials });
    expect(result.pushes).toBe(true);
    expect(JSON.stringify(result)).not.toMatch(/huntersecret/i);
  });

  function errorOf(text: string): Buffer {
    return Buffer.from(JSON.stringify({ errors: [{ code: text, message: text }] }));
  }

  function withoutRange(headers: TrustingRequest["headers"]): undefined {
    delete headers.range;
  }

  /** As one hosted registry does: later chunks are taken and dropped, and the end is said to be good. */
  function dropChunks(): Case["lie"] {
    const seen = new Map<string, number>();
    return ({ method, url }) => {
      const id = /\/blobs\/uploads\/([^?]+)/.exec(url)?.[1];
      if (id === undefined) return undefined;
      if (method === "PATCH") {
        seen.set(id, (seen.get(id) ?? 0) + 1);
        if (seen.get(id) === 2) return { instead: { status: 202, headers: { location: url } } };
      }
      return method === "PUT" && (seen.get(id) ?? 0) > 1 ? says201 : undefined;
    };
  }
});
