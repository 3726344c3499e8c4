import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultConfig } from "../../src/agent/config.ts";
import { startMirror } from "../../src/agent/mirror/mirror.ts";
import { openReach } from "../../src/agent/reach.ts";
import { digestOf } from "../../src/core/digest.ts";
import { push } from "../../src/model/push.ts";
import { collect } from "../../src/store/garbage.ts";
import { openStore } from "../../src/store/store.ts";
import { type AgentPlace, login, openAgentPlace } from "../support/agent-place.ts";
import { basicHeader, callMirror, faultOf } from "../support/mirror-caller.ts";
import { makeTemporaryFolder, writeTree } from "../support/models.ts";
import { seededBytes } from "../support/workplace.ts";

const good = { authorization: basicHeader(login) };
const wrong = { authorization: basicHeader({ ...login, password: "guessed" }) };
const unknownDigest = `sha256:${"0".repeat(64)}`;

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

let place: AgentPlace;
let digest: string;

beforeEach(async () => {
  place = await openAgentPlace({ withLogin: true, withMirror: true });
  digest = await pushFiles("team/model:v1", manySmallFiles("v1"));
  await place.client("mount").acquire(place.volume("team/model:v1", "/a", { credential: login }));
  place.proxy.exchanges.length = 0;
});
afterEach(() => place[Symbol.asyncDispose]());

/** Small files share layers. */
function manySmallFiles(seed: string, bytes = 30_000): Record<string, Uint8Array> {
  const names = Array.from({ length: 25 }, (_, at) => `part-${at}`);
  return Object.fromEntries(
    names.map((name, at) => [name, seededBytes(`${seed} ${name}`, bytes + at)]),
  );
}

async function pushFiles(name: string, files: Record<string, Uint8Array>): Promise<string> {
  await using folder = await makeTemporaryFolder();
  await writeTree(folder.path, files);
  const reference = place.ref(name);
  return (await push({ source: folder.path, reference, credentials: login, base: false })).digest;
}

const mirror = () => place.agent.mirrorAddress ?? "";
/** The registry's name in a path; crane and others take no ":" there. */
const registryName = () => place.proxy.address.replace(":", "_");
const pathTo = (rest: string) => `/v2/${registryName()}/team/model/${rest}`;
const call = (rest: string, headers: Readonly<Record<string, string>> = good, method = "GET") =>
  callMirror(mirror(), pathTo(rest), { headers, method });
const callUpstream = (rest: string, headers: Readonly<Record<string, string>> = good) =>
  callMirror(place.proxy.address, `/v2/team/model/${rest}`, { headers });
const questions = () => place.proxy.exchanges.map(({ method, url }) => `${method} ${url}`);
const decisions = () => place.log.filter(({ event }) => event === "access");

async function blobsOf(reference = digest): Promise<Descriptor[]> {
  const { body } = await callUpstream(`manifests/${reference}`);
  const { config, layers } = JSON.parse(body.toString());
  return [config, ...layers];
}

/** The blob with the most bytes: a layer with many files in it. */
async function largestLayer(reference = digest): Promise<Descriptor> {
  const [largest] = (await blobsOf(reference)).sort((a, b) => b.size - a.size);
  if (largest === undefined) throw new Error("a model without layers");
  return largest;
}

describe("a mirror gives those whose credential pulls a model", () => {
  test("its manifest by tag and digest, and each of its blobs, as the registry has them", async () => {
    for (const version of ["v1", digest]) {
      const [ours, theirs] = [
        await call(`manifests/${version}`),
        await callUpstream(`manifests/${version}`),
      ];
      expect(ours.status).toBe(200);
      expect(ours.body.equals(theirs.body)).toBe(true);
      for (const name of ["content-type", "content-length", "docker-content-digest", "etag"])
        expect(ours.headers[name]).toBe(theirs.headers[name]);
    }
    for (const { digest: blob, size } of await blobsOf()) {
      const [ours, theirs] = [await call(`blobs/${blob}`), await callUpstream(`blobs/${blob}`)];
      expect(ours.status).toBe(200);
      expect(ours.body.equals(theirs.body)).toBe(true);
      expect(ours.headers["content-length"]).toBe(`${size}`);
      expect(ours.headers["docker-content-digest"]).toBe(blob);
      const head = await call(`blobs/${blob}`, good, "HEAD");
      expect(head).toMatchObject({ status: 200, headers: { "content-length": `${size}` } });
      expect(head.body).toHaveLength(0);
    }
  });

  test("any range of a layer, over the bounds of its files", async () => {
    const { digest: blob, size } = await largestLayer();
    const { body } = await callUpstream(`blobs/${blob}`);
    const ranges = [
      [0, 0],
      [29_990, 30_100],
      [5, 200_000],
      [size - 1, size - 1],
      [size - 100_000, size + 5],
    ] as const;
    for (const [first, last] of ranges) {
      const answer = await call(`blobs/${blob}`, { ...good, range: `bytes=${first}-${last}` });
      expect(answer.status).toBe(206);
      const end = Math.min(last, size - 1);
      expect(answer.headers["content-range"]).toBe(`bytes ${first}-${end}/${size}`);
      expect(answer.body.equals(body.subarray(first, end + 1))).toBe(true);
    }
    const suffix = await call(`blobs/${blob}`, { ...good, range: "bytes=-1000" });
    expect(suffix.body.equals(body.subarray(-1000))).toBe(true);
    const beyond = await call(`blobs/${blob}`, { ...good, range: `bytes=${size}-` });
    expect(beyond).toMatchObject({ status: 416, headers: { "content-range": `bytes */${size}` } });
    const other = { ...good, range: "bytes=0-9", "if-range": '"other"' };
    expect(await call(`blobs/${blob}`, other)).toMatchObject({ status: 200 });
    const current = await call(`blobs/${blob}`, { ...good, "if-none-match": `"${blob}"` });
    expect(current).toMatchObject({ status: 304 });
  });

  test("all of it for one question to the registry, ranges too", async () => {
    const blobs = await blobsOf();
    place.proxy.exchanges.length = 0;
    await call("manifests/v1", good, "HEAD");
    await call(`manifests/${digest}`);
    for (const { digest: blob } of blobs) {
      await call(`blobs/${blob}`);
      await call(`blobs/${blob}`, { ...good, range: "bytes=0-0" });
    }
    expect(questions()).toEqual(["HEAD /v2/team/model/manifests/v1"]);
    expect(decisions().at(-1)).toMatchObject({
      namespace: "peer",
      repository: `${place.proxy.address}/team/model`,
      verdict: "allowed",
      digest,
    });
    expect(JSON.stringify(place.log)).not.toContain(good.authorization.slice(6));
  });

  test("the same under containerd's names", async () => {
    const path = `/v2/team/model/manifests/v1?ns=${encodeURIComponent(place.proxy.address)}`;
    const { status, body } = await callMirror(mirror(), path, { headers: good });
    expect(status).toBe(200);
    expect(body.equals((await callUpstream("manifests/v1")).body)).toBe(true);
    const colon = `/v2/${place.proxy.address}/team/model/manifests/v1`;
    expect(await callMirror(mirror(), colon, { headers: good })).toMatchObject({ status: 200 });
  });

  test("what a tag names now, not what it named at the pull", async () => {
    const moved = await pushFiles("team/model:v1", { "other.bin": seededBytes("other", 1000) });
    expect(faultOf(await call("manifests/v1"))).toBe("404 MANIFEST_UNKNOWN");
    expect(await call(`manifests/${digest}`)).toMatchObject({ status: 200 });
    await place.client("mount").acquire(place.volume("team/model:v1", "/b", { credential: login }));
    const { status, headers } = await call("manifests/v1");
    expect({ status, digest: headers["docker-content-digest"] }).toEqual({
      status: 200,
      digest: moved,
    });
  });
});

describe("a mirror does not give", () => {
  test("what is here in part: the client goes to the registry for that layer", async () => {
    const partial = await pushFiles("team/partial:v1", manySmallFiles("partial"));
    const include = ["part-0"];
    const volume = place.volume("team/partial:v1", "/b", { credential: login, include });
    await place.client("mount").acquire(volume);
    const ask = (rest: string) =>
      callMirror(mirror(), `/v2/${registryName()}/team/partial/${rest}`, { headers: good });
    const { status, body } = await ask(`manifests/${partial}`);
    expect(status).toBe(200);
    const { layers } = JSON.parse(body.toString());
    const [index, ...parts] = layers as Descriptor[];
    expect(await ask(`blobs/${index?.digest}`)).toMatchObject({ status: 200 });
    const answers = await Promise.all(parts.map((layer) => ask(`blobs/${layer.digest}`)));
    expect(answers.map(faultOf)).toContain("404 BLOB_UNKNOWN");
  });

  test("a layer of which only some bytes are in the model that is here, until the rest is", async () => {
    const [a, c] = [seededBytes("a", 30_000), seededBytes("c", 30_000)];
    const first = await pushFiles("team/line:v1", { a, b: seededBytes("b", 20_000), c });
    await using folder = await makeTemporaryFolder();
    await writeTree(folder.path, { a, b: seededBytes("other b", 20_000), c });
    const reference = place.ref("team/line:v2");
    await push({
      source: folder.path,
      reference,
      credentials: login,
      base: place.ref("team/line:v1"),
    });
    const mount = place.client("mount");
    await mount.acquire(place.volume("team/line:v2", "/b", { credential: login }));
    const ask = (rest: string) =>
      callMirror(mirror(), `/v2/${registryName()}/team/line/${rest}`, { headers: good });
    const { layers } = JSON.parse((await ask("manifests/v2")).body.toString());
    const [old, added] = (layers as Descriptor[]).slice(1).sort((x, y) => y.size - x.size);
    expect([old?.size, added?.size]).toEqual([80_000, 20_000]);
    expect(await ask(`blobs/${added?.digest}`)).toMatchObject({ status: 200 });
    expect(faultOf(await ask(`blobs/${old?.digest}`))).toBe("404 BLOB_UNKNOWN");
    expect(faultOf(await ask(`manifests/${first}`))).toBe("404 MANIFEST_UNKNOWN");
    await mount.acquire(place.volume("team/line:v1", "/c", { credential: login }));
    const whole = await ask(`blobs/${old?.digest}`);
    expect(digestOf(whole.body)).toBe(old?.digest);
  });

  test("what another repository of the registry was granted, though every byte is here", async () => {
    const same = await pushFiles("team/other:v1", manySmallFiles("v1"));
    expect(same).toBe(digest);
    const { digest: blob } = await largestLayer();
    const ask = (rest: string) =>
      callMirror(mirror(), `/v2/${registryName()}/team/other/${rest}`, { headers: good });
    expect(faultOf(await ask("manifests/v1"))).toBe("404 MANIFEST_UNKNOWN");
    expect(faultOf(await ask(`manifests/${digest}`))).toBe("404 MANIFEST_UNKNOWN");
    expect(faultOf(await ask(`blobs/${blob}`))).toBe("404 BLOB_UNKNOWN");
    const include = ["part-0"];
    const volume = place.volume("team/other:v1", "/b", { credential: login, include });
    await place.client("mount").acquire(volume);
    expect(await ask("manifests/v1")).toMatchObject({ status: 200 });
    expect(faultOf(await ask(`blobs/${blob}`))).toBe("404 BLOB_UNKNOWN");
  });

  test("what is not there, catalogs, tags, referrers, nor the interface of the sockets", async () => {
    const here = `/v2/${registryName()}/team`;
    const answers = {
      "/v2/_catalog": "404 UNSUPPORTED",
      [`${here}/model/tags/list`]: "404 UNSUPPORTED",
      [`${here}/model/referrers/${digest}`]: "404 UNSUPPORTED",
      "/v1/volumes": "404 UNSUPPORTED",
      "/healthz": "404 UNSUPPORTED",
      "/v2/team/model/manifests/v1": "404 NAME_UNKNOWN",
      [`${here}/model/blobs/v1`]: "400 DIGEST_INVALID",
      [`${here}/model/blobs/${unknownDigest}`]: "404 BLOB_UNKNOWN",
      [`${here}/model/manifests/${unknownDigest}`]: "404 MANIFEST_UNKNOWN",
      [`${here}/model/manifests/v9`]: "404 MANIFEST_UNKNOWN",
      [`${here}/model/manifests/sha512:00`]: "404 MANIFEST_UNKNOWN",
      [`${here}/nothing/manifests/v1`]: "404 MANIFEST_UNKNOWN",
    };
    for (const [path, expected] of Object.entries(answers)) {
      const answer = await callMirror(mirror(), path, { headers: good });
      expect(`${path}: ${faultOf(answer)}`).toBe(`${path}: ${expected}`);
    }
  });

  test("anything to those who would write", async () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"])
      for (const rest of ["manifests/v1", "blobs/uploads/", `blobs/${unknownDigest}`]) {
        const answer = await call(rest, good, method);
        expect(faultOf(answer)).toBe("405 UNSUPPORTED");
        expect(answer.headers.allow).toBe("GET, HEAD");
      }
    expect(questions()).toEqual([]);
  });
});

describe("a caller whose credential pulls nothing", () => {
  test("hears the registry's own refusal and challenge", async () => {
    for (const headers of [{}, wrong]) {
      const [ours, theirs] = [
        await call("manifests/v1", headers),
        await callUpstream("manifests/v1", headers),
      ];
      expect(faultOf(ours)).toBe("401 UNAUTHORIZED");
      expect(theirs.status).toBe(401);
      expect(ours.headers["www-authenticate"]).toBe(theirs.headers["www-authenticate"]);
    }
    expect(decisions().slice(-2)).toMatchObject([{ verdict: "denied" }, { verdict: "denied" }]);
  });

  test("hears the same whether a thing is here or not, also while others are served", async () => {
    const { digest: blob } = await largestLayer();
    await call(`blobs/${blob}`);
    const shown = async (rest: string, headers: Readonly<Record<string, string>>) => {
      const { status, headers: sent, body } = await call(rest, headers);
      const { date: _, ...rest_ } = sent;
      return { status, headers: rest_, body: body.toString() };
    };
    for (const headers of [{}, wrong]) {
      expect(await shown(`blobs/${blob}`, headers)).toEqual(
        await shown(`blobs/${unknownDigest}`, headers),
      );
      expect(await shown(`manifests/${digest}`, headers)).toEqual(
        await shown(`manifests/${unknownDigest}`, headers),
      );
    }
    place.cut(true);
    for (const headers of [{}, wrong]) {
      const here = await shown(`blobs/${blob}`, headers);
      expect(here.status).toBe(503);
      expect(here).toEqual(await shown(`blobs/${unknownDigest}`, headers));
    }
  });

  test("is not let in by what another caller was told", async () => {
    expect(await call(`manifests/${digest}`)).toMatchObject({ status: 200 });
    expect(await call(`manifests/${digest}`, wrong)).toMatchObject({ status: 401 });
    expect(await call(`manifests/${digest}`)).toMatchObject({ status: 200 });
  });

  test("is not let in by the agent's own credential", async () => {
    const environment = { BALLAST_USERNAME: login.username, BALLAST_PASSWORD: login.password };
    await using own = await openAgentPlace({ withLogin: true, withMirror: true, environment });
    await own.push("team/model:v1");
    const ownCredentials = [`${own.proxy.address}/team/*`];
    await own.restart({ access: { ...defaultConfig().access, ownCredentials } });
    await own.client("admin").prefetch({ reference: own.ref("team/model:v1") });
    const path = `/v2/${own.proxy.address}/team/model/manifests/v1`;
    expect(await callMirror(own.agent.mirrorAddress ?? "", path)).toMatchObject({ status: 401 });
  });
});

describe("while the registry is down", () => {
  test("who was let in a moment ago goes on with what they pull, and nobody begins", async () => {
    const { digest: blob } = await largestLayer();
    await call("manifests/v1");
    place.cut(true);
    expect(await call(`blobs/${blob}`, { ...good, range: "bytes=0-9" })).toMatchObject({
      status: 206,
    });
    expect(faultOf(await call("manifests/v1"))).toBe("503 UNKNOWN");
    expect(await call(`blobs/${blob}`, wrong)).toMatchObject({ status: 503 });
  });
});

describe("a registry", () => {
  test("that the operator does not allow is not asked", async () => {
    const registries = { ...defaultConfig().registries, allow: ["registry.example.com", "b.test"] };
    await place.restart({ registries });
    const answer = await call("manifests/v1");
    expect(faultOf(answer)).toBe("403 DENIED");
    expect(answer.body.toString()).toContain(place.proxy.address);
    expect(questions()).toEqual([]);
  });

  test("that is the mirror itself is refused by name", async () => {
    for (const host of [mirror(), mirror().replace("127.0.0.1", "localhost")]) {
      const path = `/v2/team/model/manifests/v1?ns=${host}`;
      const answer = await callMirror(mirror(), path, { headers: good });
      expect(faultOf(answer)).toBe("403 DENIED");
      expect(answer.body.toString()).toContain(host);
    }
  });

  test("that leads back to the mirror ends there", async () => {
    place.proxy.target = mirror();
    expect(faultOf(await call("manifests/v1"))).toBe("503 UNKNOWN");
    expect(questions()).toEqual(["HEAD /v2/team/model/manifests/v1"]);
    const registries = { ...defaultConfig().registries, allow: [place.proxy.address] };
    await place.restart({ registries });
    place.proxy.target = mirror();
    place.proxy.exchanges.length = 0;
    expect(await callMirror(mirror(), "/v2/")).toMatchObject({ status: 200 });
    expect(questions()).toEqual(["GET /v2/"]);
  });

  test("that is the only one tells at /v2/ how to log in", async () => {
    expect(await callMirror(mirror(), "/v2/")).toMatchObject({ status: 200 });
    expect(questions()).toEqual([]);
    const registries = { ...defaultConfig().registries, allow: [place.proxy.address] };
    await place.restart({ registries });
    const refused = await callMirror(mirror(), "/v2/");
    expect(faultOf(refused)).toBe("401 UNAUTHORIZED");
    expect(refused.headers["www-authenticate"]).toBe('Basic realm="ballast"');
    expect(await callMirror(mirror(), "/v2/", { headers: good })).toMatchObject({ status: 200 });
  });
});

describe("a layer that is being served", () => {
  let blob: string;

  beforeEach(async () => {
    // More than sockets hold.
    const large = await pushFiles("team/model:large", manySmallFiles("large", 800_000));
    const mount = place.client("mount");
    await mount.acquire(place.volume("team/model:large", "/large", { credential: login }));
    await mount.release(place.volume("team/model:large", "/large").id);
    await mount.release(place.volume("team/model:v1", "/a").id);
    ({ digest: blob } = await largestLayer(large));
  });

  /** Begins to read a layer and stops after its first bytes. */
  async function beginLayer(address: string, blob: string): Promise<IncomingMessage> {
    const path = pathTo(`blobs/${blob}`);
    const sent = request(`http://${address}`, { path, headers: good, agent: false }).end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    await once(answer, "readable");
    return answer;
  }

  test("is not evicted before its end, and is after", async () => {
    const expected = await callUpstream(`blobs/${blob}`);
    await place.stop();
    await using store = await openStore(place.root);
    const stopping = new AbortController();
    await using served = await startMirror({
      store,
      reach: await openReach(defaultConfig(), {}),
      audit: () => undefined,
      listen: { host: "127.0.0.1", port: 0 },
      onlyRegistry: () => undefined,
      closeGraceMs: 0,
      signal: stopping.signal,
    });
    const everything = { bytes: { high: 0, low: 0 } };
    const answer = await beginLayer(served.address, blob);
    const { removed } = await collect(store, { watermarks: everything });
    expect(removed.map(({ tags }) => tags)).toEqual([["v1"]]);
    const pieces: Buffer[] = [];
    for await (const piece of answer) pieces.push(piece as Buffer);
    expect(Buffer.concat(pieces).equals(expected.body)).toBe(true);

    const abandoned = await beginLayer(served.address, blob);
    abandoned.destroy();
    await expect
      .poll(async () => (await collect(store, { watermarks: everything })).removed)
      .toHaveLength(1);
    const gone = await callMirror(served.address, pathTo(`blobs/${blob}`), { headers: good });
    expect(faultOf(gone)).toBe("404 BLOB_UNKNOWN");
  });

  test("is cut when the agent ends", async () => {
    const answer = await beginLayer(mirror(), blob);
    const cut = once(answer, "error");
    await place.stop();
    answer.resume();
    expect(await cut).toMatchObject([{ code: "ECONNRESET" }]);
  });
});
