import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { keepCertificate } from "../../src/kubernetes/webhook/certificates/certificate-keeper.ts";
import type { KeyedCertificate } from "../../src/kubernetes/webhook/certificates/issue.ts";
import { parseKept } from "../../src/kubernetes/webhook/certificates/kept-certificate.ts";
import { pinKey } from "../../src/kubernetes/webhook/pod/pod-group.ts";
import { openPins, type PinsOptions } from "../../src/kubernetes/webhook/resolve/pins.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const namespace = "ballast-system";
const secretPath = `/api/v1/namespaces/${namespace}/secrets/ballast-webhook-certificate`;
const pinsPath = `/api/v1/namespaces/${namespace}/configmaps/ballast-webhook-pins`;
const dayMs = 86_400_000;

let server: FakeApiServer;
let api: ClusterApi;
let events: string[];

beforeEach(async () => {
  server = await startFakeApiServer();
  api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "test" });
  events = [];
});
afterEach(async () => {
  api[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const log = (event: string) => void events.push(event);

async function read(path: string): Promise<Record<string, string>> {
  const object = await api.call<{ data: Record<string, string> }>({ method: "GET", path });
  return object.data;
}

function digestOfText(text: string): Digest {
  return digestOf(Buffer.from(text));
}

describe("the certificate that replicas share", () => {
  const replica = (options: { now?: () => Date; checkMs?: number } = {}) => {
    const served: KeyedCertificate[] = [];
    const keeper = keepCertificate({
      api,
      namespace,
      service: "ballast-webhook",
      log,
      settleMs: 1,
      admit: () => undefined,
      serve: (identity) => void served.push(identity),
      ...options,
    });
    return { keeper, served, [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose]() };
  };

  test("is one, of however many start at once", async () => {
    await using one = replica();
    await using two = replica();
    await using three = replica();
    await Promise.all([one, two, three].map(({ keeper }) => keeper.served));
    const kept = parseKept(await read(secretPath));
    expect(kept).toBeDefined();
    for (const { served } of [one, two, three])
      await expect.poll(() => served.at(-1)).toEqual(kept?.serving);
  });

  test("is made anew when it is due, and all serve the new one", async () => {
    let days = 0;
    const now = () => new Date(Date.now() + days * dayMs);
    await using one = replica({ now, checkMs: 20 });
    await using two = replica({ now, checkMs: 20 });
    await Promise.all([one, two].map(({ keeper }) => keeper.served));
    const first = parseKept(await read(secretPath));
    days = 61;
    await expect.poll(async () => parseKept(await read(secretPath))).not.toEqual(first);
    const second = parseKept(await read(secretPath));
    expect(second?.authority).toEqual(first?.authority);
    for (const { served } of [one, two])
      await expect.poll(() => served.at(-1)).toEqual(second?.serving);
    days = 250;
    await expect
      .poll(async () => parseKept(await read(secretPath))?.authority)
      .not.toEqual(first?.authority);
    const third = parseKept(await read(secretPath));
    expect(third?.trusted).toHaveLength(2);
    for (const { served } of [one, two])
      await expect.poll(() => served.at(-1)).toEqual(third?.serving);
  });

  test("that is broken in the Secret, or taken out of it, is replaced", async () => {
    await api.call({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/secrets`,
      body: { metadata: { name: "ballast-webhook-certificate" }, data: { "tls.crt": "AAAA" } },
    });
    await using one = replica();
    await one.keeper.served;
    const [first] = one.served;
    expect(new X509Certificate(first?.certificate ?? "").validToDate.getTime()).toBeGreaterThan(
      Date.now() + 89 * dayMs,
    );
    const data = Object.fromEntries(
      Object.keys(await read(secretPath)).map((key) => [key, null] as const),
    );
    await api.call({ method: "PATCH", path: secretPath, body: { data } });
    await expect.poll(() => one.served.length).toBe(2);
    expect(parseKept(await read(secretPath))?.serving).toEqual(one.served[1]);
  });

  test("is served as soon as the API server answers again", async () => {
    const fault = server.fail({ match: /secrets/, status: 403 });
    await using one = replica();
    await expect.poll(() => events).toContain("certificate cannot be kept");
    expect(one.served).toEqual([]);
    fault[Symbol.dispose]();
    await one.keeper.served;
    expect(one.served).toHaveLength(1);
  });
});

describe("pins", () => {
  const open = (options: Partial<PinsOptions> = {}) =>
    openPins({ api, namespace, log, ...options });
  const names = (text: string) => async () => digestOfText(text);

  test("the first digest of a group stays, for other replicas and later ones, too", async () => {
    await using one = open();
    await using two = open();
    expect(await one.pin("gang", names("a"), {})).toBe(digestOfText("a"));
    expect(await two.pin("gang", names("b"), {})).toBe(digestOfText("a"));
    await using later = open();
    expect(await later.pin("gang", names("c"), {})).toBe(digestOfText("a"));
    expect(await later.pin("other", names("c"), {})).toBe(digestOfText("c"));
  });

  test("of replicas that resolve at once the first writer wins, for all", async () => {
    const replicas = Array.from({ length: 4 }, () => open());
    const digests = await Promise.all(
      replicas.map((pins, at) => pins.pin("gang", names(`version ${at}`), {})),
    );
    expect(new Set(digests).size).toBe(1);
    for (const pins of replicas) await pins[Symbol.asyncDispose]();
  });

  test("of many groups at once all are written, in few writes", async () => {
    await using pins = open();
    const keys = Array.from({ length: 50 }, (_, at) => `gang-${at}`);
    await Promise.all(keys.map((key) => pins.pin(key, names(key), {})));
    const kept = await read(pinsPath);
    expect(Object.keys(kept)).toHaveLength(50);
    for (const key of keys) expect(kept[key]).toContain(digestOfText(key));
    expect(server.writes().length).toBeLessThanOrEqual(3);
  });

  test("a group is asked for once, however many of its pods come at once", async () => {
    await using pins = open();
    let asked = 0;
    const resolve = async () => {
      asked += 1;
      return digestOfText("a");
    };
    await Promise.all(Array.from({ length: 20 }, () => pins.pin("gang", resolve, {})));
    expect(asked).toBe(1);
  });

  test("a dry run keeps nothing, and sees what is kept", async () => {
    await using pins = open();
    expect(await pins.pin("gang", names("a"), { dryRun: true })).toBe(digestOfText("a"));
    expect(server.writes()).toEqual([]);
    expect(await pins.pin("gang", names("b"), {})).toBe(digestOfText("b"));
    expect(await pins.pin("gang", names("c"), { dryRun: true })).toBe(digestOfText("b"));
  });

  test("who cannot be told holds them alone, says so, and writes them later", async () => {
    let failures = 0;
    await using pins = open({
      onFailure: () => {
        failures += 1;
      },
    });
    const fault = server.fail({ match: /(?:POST|PATCH) .*configmaps/, status: 403 });
    expect(await pins.pin("gang", names("a"), {})).toBe(digestOfText("a"));
    expect(await pins.pin("gang", names("b"), {})).toBe(digestOfText("a"));
    expect(failures).toBe(1);
    expect(events).toContain("pins cannot be written: they hold here");
    fault[Symbol.dispose]();
    await pins.pin("other", names("b"), {});
    expect(Object.keys(await read(pinsPath)).toSorted()).toEqual(["gang", "other"]);
  });

  test("a pod that stops waiting stops nobody else", async () => {
    await using pins = open();
    const asked = Promise.withResolvers<Digest>();
    const impatient = pins.pin("gang", () => asked.promise, { signal: AbortSignal.timeout(5) });
    await expect(impatient).rejects.toThrow(/timeout/);
    asked.resolve(digestOfText("a"));
    expect(await pins.pin("gang", names("b"), {})).toBe(digestOfText("a"));
  });

  test("are no more than allowed: those used longest ago go", async () => {
    let days = 0;
    const now = () => Date.parse("2026-01-01") + days * dayMs;
    await using pins = open({ limit: 3, now });
    for (const key of ["a", "b", "c"]) {
      await pins.pin(key, names(key), {});
      days += 1;
    }
    // It is in use, which the next write tells.
    await pins.pin("a", names("changed"), {});
    await pins.pin("d", names("d"), {});
    expect(Object.keys(await read(pinsPath)).toSorted()).toEqual(["a", "c", "d"]);
    expect((await read(pinsPath))["a"]).toBe(`${digestOfText("a")} 2026-01-04`);
  });

  test("of a namespace that has most of them go first, however old those of others are", async () => {
    let days = 0;
    const now = () => Date.parse("2026-01-01") + days * dayMs;
    await using pins = open({ limit: 4, now });
    const quiet = pinKey("quiet", ["controller", "1", ""], "registry.example.com/a:v1");
    await pins.pin(quiet, names("quiet"), {});
    days += 1;
    const loud = Array.from({ length: 9 }, (_, at) =>
      pinKey("loud", ["controller", `${at}`, ""], "registry.example.com/b:v1"),
    );
    for (const key of loud) await pins.pin(key, names("loud"), {});
    const kept = Object.keys(await read(pinsPath));
    expect(kept).toHaveLength(4);
    expect(kept).toContain(quiet);
    expect(kept).toContain(loud.at(-1));
  });

  test("what somebody else wrote there is no pin", async () => {
    await api.call({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      body: { metadata: { name: "ballast-webhook-pins" }, data: { gang: "nonsense" } },
    });
    await using pins = open();
    expect(await pins.pin("gang", names("a"), {})).toBe(digestOfText("a"));
    expect((await read(pinsPath))["gang"]).toContain(digestOfText("a"));
  });
});
