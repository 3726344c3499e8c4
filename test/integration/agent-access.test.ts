import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AcquireRequest } from "../../src/agent/api/documents.ts";
import { defaultConfig } from "../../src/agent/config.ts";
import { type AgentPlace, login, openAgentPlace, podOf } from "../support/agent-place.ts";
import { holdBlobs } from "../support/held-blobs.ts";

let place: AgentPlace;

beforeEach(async () => {
  place = await openAgentPlace({ withLogin: true });
  await place.push("team/model:v1");
});
afterEach(() => place[Symbol.asyncDispose]());

const volume = (target: string, more: Partial<AcquireRequest> = {}) =>
  place.volume("team/model:v1", target, { credential: login, ...more });
const acquire = (target: string, more?: Partial<AcquireRequest>) =>
  place.client("mount").acquire(volume(target, more));
const decisions = () => place.log.filter(({ event }) => event === "access");

async function failure(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work;
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("it did not fail");
}

describe("a pod", () => {
  test("with the registry's credential mounts, one without or with another does not", async () => {
    expect(await acquire("/a")).toMatchObject({ files: 2 });
    const wrong = { username: "pod", password: "guessed" };
    for (const credential of [undefined, wrong])
      expect((await failure(acquire("/b", { credential }))).code).toBe("UNAUTHORIZED");
    expect(await place.client("mount").leases()).toHaveLength(1);
  });

  test("that may not read a model hears the same whether it is here or not", async () => {
    const target = "/b";
    const stranger = { subject: podOf("other"), credential: undefined };
    const before = await failure(acquire(target, stranger));
    await acquire("/a");
    const after = await failure(acquire(target, stranger));
    expect(after).toMatchObject({ code: before.code, message: before.message });
  });

  test("of another namespace asks the registry with its own credential", async () => {
    await acquire("/a", { subject: podOf("one") });
    place.proxy.exchanges.length = 0;
    await acquire("/b", { subject: podOf("two") });
    expect(place.proxy.exchanges.map(({ method }) => method)).toContain("HEAD");
  });

  test("by digest is let in without a question while a yes to its credential is young", async () => {
    const { digest } = await acquire("/a");
    const reference = `${place.proxy.address}/team/model@${digest}`;
    place.proxy.exchanges.length = 0;
    await acquire("/b", { reference });
    expect(place.proxy.exchanges).toEqual([]);
    const wrong = { username: "pod", password: "guessed" };
    expect((await failure(acquire("/c", { reference, credential: wrong }))).code).toBe(
      "UNAUTHORIZED",
    );
    expect(decisions().map(({ verdict, why }) => [verdict, why].join(" "))).toEqual([
      "allowed registry",
      "allowed cached",
      "denied UNAUTHORIZED",
    ]);
  });

  test("that was let in before is let in while the registry is down, others are not", async () => {
    await acquire("/a", { subject: podOf("one") });
    place.cut(true);
    expect(await acquire("/b", { subject: podOf("one") })).toMatchObject({ moved: 0 });
    const others: Partial<AcquireRequest>[] = [
      { subject: podOf("two") },
      { subject: podOf("one"), credential: { username: "pod", password: "new" } },
    ];
    for (const other of others)
      expect((await failure(acquire("/c", other))).code).toBe("REGISTRY_UNAVAILABLE");
    expect(decisions().at(1)).toMatchObject({ verdict: "allowed", why: "grace", namespace: "one" });
  });

  test("is not let in on an old yes where the operator grants no grace", async () => {
    const access = { ...defaultConfig().access, verdictSeconds: 0, graceSeconds: 0 };
    await place.restart({ access });
    await acquire("/a");
    place.cut(true);
    expect((await failure(acquire("/b"))).code).toBe("REGISTRY_UNAVAILABLE");
  });

  test("that was refused is not let in later on an older yes", async () => {
    const access = { ...defaultConfig().access, verdictSeconds: 0 };
    await place.restart({ access });
    const { digest } = await acquire("/a");
    const reference = `${place.proxy.address}/team/model@${digest}`;
    await rm(join(place.root, "..", "registry"), { recursive: true });
    expect((await failure(acquire("/b", { reference }))).code).not.toBe("REGISTRY_UNAVAILABLE");
    place.cut(true);
    expect((await failure(acquire("/b", { reference }))).code).toBe("REGISTRY_UNAVAILABLE");
  });

  test("is refused a registry that the operator does not name", async () => {
    const registries = { ...defaultConfig().registries, allow: ["registry.example.com"] };
    await place.restart({ registries });
    place.proxy.exchanges.length = 0;
    const refused = await failure(acquire("/a"));
    expect(refused).toMatchObject({ code: "FORBIDDEN" });
    expect(refused.message).toContain(place.proxy.address);
    expect(place.proxy.exchanges).toEqual([]);
  });

  test("cannot read a folder of the node", async () => {
    expect((await failure(acquire("/a", { reference: "oci:/etc" }))).code).toBe(
      "INVALID_REFERENCE",
    );
  });
});

describe("a pod's credential", () => {
  test("is kept on the run folder only, for root and the agent only, and ends with the lease", async () => {
    const request = volume("/a");
    await place.client("mount").acquire(request);
    const path = join(place.run, "secrets.json");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, "utf8")).toContain(login.password);
    expect(JSON.stringify(place.log)).not.toContain(login.password);
    await place.stop();
    for (const name of await readdir(place.root, { recursive: true })) {
      const file = join(place.root, name);
      if (!(await stat(file)).isFile()) continue;
      expect((await readFile(file)).includes(login.password)).toBe(false);
    }
    await place.restart();
    await place.client("mount").release(request.id);
    expect(await readFile(path, "utf8")).not.toContain(login.password);
  });

  test("lets a pull go on after a restart of the agent", async () => {
    const { asked, release } = holdBlobs(place.proxy);
    const gone = failure(acquire("/a"));
    await asked;
    const restarted = place.restart();
    release();
    expect((await gone).code).toBe("AGENT_UNAVAILABLE");
    await restarted;
    for await (const { models } of place.client("admin").watch())
      if (models[0]?.state === "ready") break;
  });
});

describe("the agent's own credential", () => {
  test("serves pods only for repositories that the operator lists", async () => {
    const environment = { BALLAST_USERNAME: login.username, BALLAST_PASSWORD: login.password };
    await using own = await openAgentPlace({ withLogin: true, environment });
    await own.push("team/model:v1");
    const asPod = (target: string) =>
      own.client("mount").acquire(own.volume("team/model:v1", target));
    expect((await failure(asPod("/a"))).code).toBe("UNAUTHORIZED");
    const ownCredentials = [`${own.proxy.address}/team/*`];
    await own.restart({ access: { ...defaultConfig().access, ownCredentials } });
    expect(await asPod("/a")).toMatchObject({ files: 2 });
    expect(
      await own.client("admin").prefetch({ reference: own.ref("team/model:v1") }),
    ).toMatchObject({
      moved: 0,
    });
  });
});
