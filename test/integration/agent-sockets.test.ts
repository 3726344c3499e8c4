import { readdir, stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CallerKind, socketPath } from "../../src/agent/api/routes.ts";
import { createAgentClient } from "../../src/agent/client/client.ts";
import { type AgentPlace, openAgentPlace } from "../support/agent-place.ts";

let place: AgentPlace;

beforeEach(async () => {
  place = await openAgentPlace();
});
afterEach(() => place[Symbol.asyncDispose]());

/** Asks without our client. */
async function ask(kind: CallerKind, method: string, path: string, body?: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const sent = request({ socketPath: socketPath(place.run, kind), method, path }, (answer) => {
    text(answer).then(
      (content) => resolve({ status: answer.statusCode ?? 0, text: content }),
      reject,
    );
  });
  sent.on("error", reject).end(body);
  return promise;
}

describe("the sockets of an agent", () => {
  test("lie in a folder for each kind of callers, for its group only", async () => {
    expect((await readdir(place.run)).sort()).toEqual(["admin", "locality", "mount"]);
    for (const kind of ["admin", "locality", "mount"]) {
      const { mode } = await stat(join(place.run, kind));
      expect(mode & 0o777).toBe(0o750);
      expect(await readdir(join(place.run, kind))).toEqual(["agent.sock"]);
      expect((await stat(join(place.run, kind, "agent.sock"))).mode & 0o777).toBe(0o660);
    }
  });

  test.each([
    ["locality", "POST", "/v1/volumes"],
    ["locality", "PUT", "/v1/pins"],
    ["mount", "PUT", "/v1/pins"],
    ["mount", "POST", "/v1/prefetches"],
    ["mount", "GET", "/v1/status"],
    ["locality", "GET", "/v1/volumes"],
  ] as const)("refuse what is not for their callers: %s %s %s", async (kind, method, path) => {
    const { status, text: body } = await ask(kind, method, path, "{}");
    expect(status).toBe(403);
    expect(JSON.parse(body)).toMatchObject({ error: { code: "FORBIDDEN" } });
  });

  test.each([
    ["GET", "/", "", 404],
    ["GET", "/v1/nothing", "", 404],
    ["PATCH", "/v1/status", "", 404],
    ["POST", "/v1/prefetches", "no JSON", 400],
    ["POST", "/v1/prefetches", "{}", 400],
    ["POST", "/v1/prefetches", '{"reference":"x","more":1}', 400],
    ["POST", "/v1/prefetches", '{"reference":"no reference"}', 400],
    ["POST", "/v1/volumes", '{"id":"short","reference":"x/y","target":"/a"}', 400],
    ["PUT", "/v1/pins", '{"model":"example.com/no/model:v1","pinned":true}', 404],
  ])("answer %s %s %s with %s and an error that says why", async (method, path, body, status) => {
    const answer = await ask("admin", method, path, body);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({
      error: { code: expect.any(String), message: expect.stringMatching(/.{10}/) },
    });
  });

  test("refuse a body without end", async () => {
    const { status } = await ask("admin", "POST", "/v1/prefetches", "x".repeat(4_300_000));
    expect(status).toBe(400);
  });

  test("say whether the agent lives and serves, and what it counts", async () => {
    expect((await ask("mount", "GET", "/healthz")).status).toBe(200);
    expect((await ask("mount", "GET", "/readyz")).status).toBe(200);
    await place.push("team/model:v1");
    await place.client("mount").acquire(place.volume("team/model:v1", "/a"));
    await place.client("mount").acquire(place.volume("team/model:v1", "/b"));
    const { text: metrics } = await ask("locality", "GET", "/metrics");
    expect(metrics).toMatch(/^ballast_bytes_total\{provider="registry"\} 30\d+$/m);
    expect(metrics).toMatch(/^ballast_deliveries_total\{result="hit"\} 1$/m);
    expect(metrics).toMatch(/^ballast_deliveries_total\{result="miss"\} 1$/m);
    expect(metrics).toMatch(/^ballast_cold_start_seconds_count 1$/m);
    expect(metrics).toMatch(
      /^ballast_access_decisions_total\{verdict="allowed",why="registry"\} 2$/m,
    );
    expect(metrics).toMatch(/^ballast_store_bytes 3000002$/m);
    expect(metrics).toMatch(/^ballast_models\{state="ready"\} 1$/m);
    expect(metrics.trimEnd().endsWith("# EOF")).toBe(true);
  });

  test("are gone when the agent has ended, and callers hear that nobody is there", async () => {
    const admin = place.client("admin");
    await place.stop();
    await expect(admin.status()).rejects.toMatchObject({ code: "AGENT_UNAVAILABLE" });
    expect(await readdir(join(place.run, "admin"))).toEqual([]);
    const nowhere = createAgentClient(join(place.run, "nowhere", "agent.sock"));
    await expect(nowhere.status()).rejects.toMatchObject({ code: "AGENT_UNAVAILABLE" });
  });
});

describe("a second agent on one store", () => {
  test("is refused, and takes no socket from the first", async () => {
    await expect(place.startAnother()).rejects.toMatchObject({ code: "STORE_LOCKED" });
    expect(await place.client("admin").status()).toMatchObject({ version: "0.0.0-test" });
  });
});
