import { mkdir, readdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { openRawRegistry, type RawRegistry } from "./raw-registry.ts";

const secret = "the key of somebody else";
const digest = digestOf(secret);
const hex = digest.slice("sha256:".length);
let outer: string;
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
  await registry.pushManifest("team/model", "v1");
  // What a path that leaves its repository could meet.
  outer = join(registry.root, "outside");
  await mkdir(join(outer, "blobs", "sha256"), { recursive: true });
  await writeFile(join(outer, "blobs", "sha256", hex), secret);
  await writeFile(join(registry.root, "secret"), secret);
});
afterAll(async () => registry[Symbol.asyncDispose]());

/** Sends a target byte for byte as it is given; no client library tidies it up. */
async function sendRaw(method: string, target: string, more = ""): Promise<string> {
  const socket = connect(Number(new URL(registry.server.url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(
    Buffer.from(
      `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n`,
      "latin1",
    ),
  );
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  await new Promise((resolve) => socket.once("close", resolve));
  return answer;
}

const statusLine = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);

describe("a path that leaves its place, sent as it is,", () => {
  const dots = ["..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "..\\", "%2e%2e%5c"];
  const slashes = ["/", "%2f", "%2F", "//", "/./", "%5c"];
  const steps = dots.flatMap((dot) => slashes.map((slash) => `${dot}${slash}`));

  test.each(["names", "tags", "digests", "uploads"])("in %s finds nothing", async (where) => {
    for (const step of steps) {
      const climb = `${step}${step}${step}`;
      const targets = {
        names: [
          `/v2/${climb}outside/blobs/${digest}`,
          `/v2/team/model/${climb}outside/blobs/${digest}`,
        ],
        tags: [
          `/v2/team/model/manifests/${climb}secret`,
          `/v2/team/model/manifests/${step}index.json`,
        ],
        digests: [
          `/v2/team/model/blobs/sha256:${climb}outside/blobs/sha256/${hex}`,
          `/v2/team/model/blobs/sha256:${climb}secret`,
          `/v2/team/model/blobs/sha512${step}sha256:${hex}`,
          `/v2/team/model/referrers/${climb}secret`,
        ],
        uploads: [`/v2/team/model/blobs/uploads/${climb}secret`],
      }[where as "names"];
      for (const target of targets)
        for (const method of ["GET", "DELETE", "PUT"]) {
          const answer = await sendRaw(method, target, "Content-Length: 0\r\n");
          expect([method, target, statusLine(answer)]).toEqual([
            method,
            target,
            expect.toSatisfy((status: number) => [400, 404, 405].includes(status)),
          ]);
          expect(answer).not.toContain(secret);
        }
    }
    expect((await readdir(registry.root)).toSorted()).toEqual([
      ".lock",
      ".reserve",
      "outside",
      "secret",
      "team+model",
    ]);
  });

  test("in a mount's source or digest links nothing", async () => {
    for (const from of ["../outside", "..%2foutside", "outside%00", "team/../outside", "/"]) {
      const target = `/v2/team/model/blobs/uploads/?mount=${digest}&from=${from}`;
      expect(statusLine(await sendRaw("POST", target, "Content-Length: 0\r\n"))).toBe(202);
    }
    const target = `/v2/team/model/blobs/uploads/?mount=sha256:..%2f..%2fsecret`;
    expect(statusLine(await sendRaw("POST", target, "Content-Length: 0\r\n"))).toBe(400);
    expect((await registry.send("GET", `/v2/team/model/blobs/${digest}`)).status).toBe(404);
  });
});

test.each([
  ["a NUL in the target", "/v2/team/model\0/tags/list", 400],
  ["a bare CR in the target", "/v2/team\r/model/tags/list", 400],
  ["a space in the target", "/v2/team model/tags/list", 400],
  ["bytes above ASCII", "/v2/t\u00e9am/tags/list", 400],
  ["broken percent-encoding", "/v2/team/model/manifests/%zz", 400],
  ["percent-encoding that is no UTF-8", "/v2/team/model/manifests/%ff%fe", 400],
  ["a very long target", `/v2/${"a/".repeat(20_000)}tags/list`, 431],
  ["a long name", `/v2/${"a".repeat(4000)}/tags/list`, 400],
  ["a long tag", `/v2/team/model/manifests/${"a".repeat(4000)}`, 404],
  ["a whole URL", "http://any.example.com/v2/team/model/manifests/v1", 200],
  ["a whole URL that climbs", "http://any.example.com/v2/../outside/tags/list", 400],
  ["a whole URL of another scheme", "ftp://any.example.com/v2/", 404],
  ["no path", "*", 404],
  ["a query without a path", "?n=1", 400],
])("%s is answered with its status", async (_what, target, status) => {
  const answer = await sendRaw("GET", target);
  expect(statusLine(answer)).toBe(status);
});

test("whatever a client sends, the registry does not fail", async () => {
  const part = fc.oneof(
    fc.constantFrom("..", "%2e", "v2", "team", "model", "blobs", "uploads", "manifests", "tags"),
    fc.constantFrom("list", "referrers", "", "%00", "%", "+", "v1", digest, `sha512:${hex}${hex}`),
    fc.webPath(),
  );
  const query = fc.constantFrom(
    "",
    "?n=1",
    "?n=",
    "?last=%ff",
    "?digest=x",
    `?digest=${digest}`,
    `?mount=${digest}`,
    "?artifactType=%",
    "?tag=a&tag=..",
    "?from=a&mount=",
    "?last=sha256:&artifactType=+",
  );
  const header = fc.constantFrom<Record<string, string>>(
    {},
    { range: "bytes=-" },
    { "content-range": "9-1" },
    { "content-range": "bytes 0-1/2" },
    { "content-type": ";;" },
    { "if-none-match": ',,"' },
    { "if-match": "" },
    { authorization: "Basic %" },
  );
  const method = fc.constantFrom("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS");
  await fc.assert(
    fc.asyncProperty(
      method,
      fc.array(part, { maxLength: 6 }),
      query,
      header,
      fc.string(),
      async (verb, parts, search, headers, body) => {
        const path = `/v2/${parts.join("/")}${search}`.replaceAll("#", "");
        const hasBody = ["PUT", "POST", "PATCH"].includes(verb);
        const sent = await registry.send(verb, path, { headers, ...(hasBody ? { body } : {}) });
        expect(sent.status).toBeLessThan(500);
        if (sent.status < 400 || verb === "HEAD") return;
        expect(JSON.parse(sent.body.toString())).toMatchObject({
          errors: [{ code: expect.any(String) as unknown, message: expect.any(String) as unknown }],
        });
      },
    ),
    { numRuns: 250 },
  );
  expect((await registry.send("GET", "/v2/team/model/manifests/v1")).status).toBe(200);
});
