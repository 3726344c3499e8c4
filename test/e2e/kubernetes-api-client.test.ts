import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { isApiError } from "../../src/kubernetes/api/api-error.ts";
import { createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { type ApiAnswer, type ApiScript, sayJson, startApiScript } from "../support/api-script.ts";
import { makeCertificates } from "../support/certificates.ts";
import { makeTemporaryFolder } from "../support/models.ts";

const nodes = { method: "GET", path: "/api/v1/nodes" } as const;
const status = (code: number, reason: string, message: string) => ({
  kind: "Status",
  code,
  reason,
  message,
});

/** What a call rejects with. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.unreachable("it was answered"),
    (error: unknown) => error,
  );
}

async function gather(script: ApiScript, signal?: AbortSignal): Promise<unknown[]> {
  const lines: unknown[] = [];
  for await (const line of script.api.follow(nodes, { signal })) lines.push(line);
  return lines;
}

describe("a call to an API server", () => {
  test("resolves to the object, over one connection however many there are", async () => {
    await using script = await startApiScript((_, response, count) =>
      sayJson(response, 200, { count }),
    );
    for (let count = 1; count <= 20; count++)
      expect(await script.api.call(nodes)).toEqual({ count });
    expect(script.handshakes()).toBe(1);
  });

  test("sends its query, body, content type and credential", async () => {
    const seen: unknown[] = [];
    await using script = await startApiScript(async (request, response) => {
      const { method, url, headers } = request;
      const body = await Array.fromAsync(request);
      const { authorization, "content-type": type, "user-agent": agent, accept } = headers;
      seen.push({ method, url, authorization, type, agent, accept, body: String(body) });
      sayJson(response, 200, {});
    });
    const query = { limit: 5, continue: undefined, labelSelector: "a=b&c" };
    await script.api.call({ method: "PATCH", path: "/api/v1/nodes/a", query, body: { a: 1 } });
    expect(seen).toEqual([
      {
        method: "PATCH",
        url: "/api/v1/nodes/a?limit=5&labelSelector=a%3Db%26c",
        authorization: "Bearer token-1",
        type: "application/merge-patch+json",
        agent: "ballast-test",
        accept: "application/json",
        body: '{"a":1}',
      },
    ]);
  });

  test.each(["POST", "PUT", "PATCH", "DELETE"] as const)(
    "that is a %s has its body as a whole, and the next one is not taken for it",
    async (method) => {
      const bodies: string[] = [];
      await using script = await startApiScript(async (request, response) => {
        bodies.push(String(await Array.fromAsync(request)));
        sayJson(response, 200, {});
      });
      const body = { preconditions: { uid: "ä" } };
      await script.api.call({ method, path: "/api/v1/nodes/a", body });
      await script.api.call(nodes);
      expect(bodies).toEqual([JSON.stringify(body), ""]);
      expect(script.handshakes()).toBe(1);
    },
  );

  test("is tried again while the server is busy, not before its Retry-After", async () => {
    await using script = await startApiScript((_, response, count) => {
      if (count > 1) return sayJson(response, 200, { count });
      response.writeHead(429, { "retry-after": "1" }).end("{}");
    });
    expect(await script.api.call(nodes)).toEqual({ count: 2 });
    const [first, second] = script.requests.map(({ at }) => at);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(900);
  });

  test.each<[string, ApiAnswer]>([
    [
      "fails",
      (_, response) => sayJson(response, 503, status(503, "ServiceUnavailable", "not yet")),
    ],
    ["cuts the connection before it answers", (request) => void request.socket.destroy()],
    [
      "cuts the connection in the middle of its answer",
      (_, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write('{"half":');
        setImmediate(() => response.destroy());
      },
    ],
    ["answers what is no JSON", (_, response) => void response.end("<html>")],
  ])("is tried again when the server %s", async (_, fault) => {
    await using script = await startApiScript((request, response, count) =>
      count <= 2 ? fault(request, response, count) : sayJson(response, 200, { count }),
    );
    expect(await script.api.call(nodes)).toEqual({ count: 3 });
  });

  test("gives up after some seconds, and says what the server said", async () => {
    await using script = await startApiScript((_, response) =>
      sayJson(response, 500, status(500, "InternalError", "etcdserver: no leader")),
    );
    const error = await failureOf(script.api.call(nodes));
    expect(error).toMatchObject({
      status: 500,
      reason: "InternalError",
      code: "CLUSTER_UNAVAILABLE",
    });
    expect(String(error)).toContain("GET /api/v1/nodes");
    expect(String(error)).toContain("etcdserver: no leader");
    expect(script.requests).toHaveLength(6);
  });

  test.each([
    [403, "Forbidden", "FORBIDDEN"],
    [404, "NotFound", "NOT_FOUND"],
    [409, "AlreadyExists", "CLUSTER_REFUSED"],
    [422, "Invalid", "CLUSTER_REFUSED"],
  ])("that is refused with %i is not tried again", async (code, reason, ours) => {
    await using script = await startApiScript((_, response) =>
      sayJson(response, code, status(code, reason, "because")),
    );
    const error = await failureOf(script.api.call(nodes));
    expect(error).toMatchObject({ status: code, reason, code: ours });
    expect(isApiError(error, code)).toBe(true);
    expect(script.requests).toHaveLength(1);
  });

  test("reads its token anew when the server takes the old one no more", async () => {
    await using script = await startApiScript((request, response) =>
      request.headers.authorization === "Bearer token-2"
        ? sayJson(response, 200, {})
        : sayJson(response, 401, status(401, "Unauthorized", "Unauthorized")),
    );
    expect(await failureOf(script.api.call(nodes))).toMatchObject({
      code: "UNAUTHORIZED",
      hint: expect.stringContaining("log in again"),
    });
    expect(script.requests).toHaveLength(2);
    await writeFile(script.tokenFile, "token-2");
    expect(await script.api.call(nodes)).toEqual({});
    expect(script.requests.map(({ token }) => token).slice(2)).toEqual([
      "Bearer token-1",
      "Bearer token-2",
    ]);
  });

  test("ends at once when it is aborted: before, while it waits, and between two attempts", async () => {
    await using script = await startApiScript((_, response, count) => {
      if (count > 1) sayJson(response, 503, {});
    });
    const gone = AbortSignal.abort(new Error("left before"));
    await expect(script.api.call(nodes, { signal: gone })).rejects.toThrow("left before");
    expect(script.requests).toHaveLength(0);
    for (const when of [1, 2]) {
      const leaving = new AbortController();
      const call = script.api.call(nodes, { signal: leaving.signal });
      const outcome = failureOf(call);
      await expect.poll(() => script.requests.length).toBe(when);
      const start = performance.now();
      leaving.abort(new Error("left"));
      expect(String(await outcome)).toMatch(/left|aborted/);
      expect(performance.now() - start).toBeLessThan(500);
    }
  });

  test("trusts the authority of the kubeconfig, and no other", async () => {
    await using folder = await makeTemporaryFolder();
    const { authority } = await makeCertificates(folder.path);
    await using script = await startApiScript((_, response) => sayJson(response, 200, {}), {
      trusted: authority,
    });
    const error = await failureOf(gather(script));
    expect(error).toMatchObject({ code: "CLUSTER_UNAVAILABLE" });
    expect(String(error)).toMatch(/certificate/);
    expect(script.requests).toHaveLength(0);
  });
});

describe("the lines of a watch", () => {
  test("are whole documents, however they were cut up on their way", async () => {
    await using script = await startApiScript(async (_, response) => {
      const text = Buffer.from('{"a":"ä"}\n\n{"b":2}\n{"half":');
      for (const byte of text) {
        response.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      response.end();
    });
    expect(await gather(script)).toEqual([{ a: "ä" }, { b: 2 }]);
  });

  test("end with an error where the connection was cut", async () => {
    await using script = await startApiScript((_, response) => {
      response.write('{"a":1}\n');
      setTimeout(() => response.destroy(), 20);
    });
    const error = await failureOf(gather(script));
    expect(error).toMatchObject({ status: 0, code: "CLUSTER_UNAVAILABLE" });
  });

  test("are asked for once only, with what the server refused", async () => {
    await using script = await startApiScript((_, response) =>
      sayJson(response, 410, status(410, "Expired", "too old resource version")),
    );
    expect(await failureOf(gather(script))).toMatchObject({ status: 410, reason: "Expired" });
    expect(script.requests).toHaveLength(1);
  });

  test("end at once when aborted, and when nobody wants them any more", async () => {
    let closed = 0;
    await using script = await startApiScript((_, response) => {
      response.once("close", () => closed++);
      response.write('{"a":1}\n');
    });
    const leaving = new AbortController();
    const outcome = failureOf(gather(script, leaving.signal));
    await expect.poll(() => script.requests.length).toBe(1);
    leaving.abort(new Error("left"));
    expect(await outcome).toEqual(new Error("left"));
    for await (const line of script.api.follow(nodes)) {
      expect(line).toEqual({ a: 1 });
      break;
    }
    await expect.poll(() => closed).toBe(2);
  });
});

describe("a kubeconfig", () => {
  test("names the namespace and other contexts", async () => {
    await using script = await startApiScript((_, response) => sayJson(response, 200, {}));
    const { kubeconfig } = script;
    const userAgent = "ballast-test";
    using other = createClusterApi({ kubeconfig, context: "other", userAgent });
    expect([script.api.namespace, other.namespace]).toEqual(["a", "b"]);
    expect(() => createClusterApi({ kubeconfig, context: "third", userAgent })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", hint: "it has script, other" }),
    );
  });

  test("that is not there, is no YAML or names no cluster is refused", async () => {
    await using folder = await makeTemporaryFolder();
    const kubeconfig = `${folder.path}/config`;
    const create = () => createClusterApi({ kubeconfig, userAgent: "ballast-test" });
    const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });
    expect(create).toThrow(invalid);
    for (const text of ["{", "{}", "clusters: 5"]) {
      await writeFile(kubeconfig, text);
      expect(create).toThrow(invalid);
    }
  });
});
