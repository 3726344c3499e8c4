import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { push } from "../../src/model/push.ts";
import { type AgentPlace, login } from "../support/agent-place.ts";
import { callMirror, faultOf } from "../support/mirror-caller.ts";
import {
  type Descriptor,
  good,
  type MirrorScene,
  manySmallFiles,
  openMirrorScene,
  unknownDigest,
} from "../support/mirror-scene.ts";
import { makeTemporaryFolder, writeTree } from "../support/models.ts";
import { seededBytes } from "../support/workplace.ts";

let scene: MirrorScene;
let place: AgentPlace;
let digest: string;

beforeEach(async () => {
  scene = await openMirrorScene();
  ({ place, digest } = scene);
});
afterEach(() => scene[Symbol.asyncDispose]());

describe("a mirror gives those whose credential pulls a model", () => {
  test("its manifest by tag and digest, and each of its blobs, as the registry has them", async () => {
    for (const version of ["v1", digest]) {
      const [ours, theirs] = [
        await scene.call(`manifests/${version}`),
        await scene.callUpstream(`manifests/${version}`),
      ];
      expect(ours.status).toBe(200);
      expect(ours.body.equals(theirs.body)).toBe(true);
      for (const name of ["content-type", "content-length", "docker-content-digest", "etag"])
        expect(ours.headers[name]).toBe(theirs.headers[name]);
    }
    for (const { digest: blob, size } of await scene.blobsOf()) {
      const [ours, theirs] = [
        await scene.call(`blobs/${blob}`),
        await scene.callUpstream(`blobs/${blob}`),
      ];
      expect(ours.status).toBe(200);
      expect(ours.body.equals(theirs.body)).toBe(true);
      expect(ours.headers["content-length"]).toBe(`${size}`);
      expect(ours.headers["docker-content-digest"]).toBe(blob);
      const head = await scene.call(`blobs/${blob}`, good, "HEAD");
      expect(head).toMatchObject({ status: 200, headers: { "content-length": `${size}` } });
      expect(head.body).toHaveLength(0);
    }
  });

  test("any range of a layer, over the bounds of its files", async () => {
    const { digest: blob, size } = await scene.largestLayer();
    const { body } = await scene.callUpstream(`blobs/${blob}`);
    const ranges = [
      [0, 0],
      [29_990, 30_100],
      [5, 200_000],
      [size - 1, size - 1],
      [size - 100_000, size + 5],
    ] as const;
    for (const [first, last] of ranges) {
      const answer = await scene.call(`blobs/${blob}`, {
        ...good,
        range: `bytes=${first}-${last}`,
      });
      expect(answer.status).toBe(206);
      const end = Math.min(last, size - 1);
      expect(answer.headers["content-range"]).toBe(`bytes ${first}-${end}/${size}`);
      expect(answer.body.equals(body.subarray(first, end + 1))).toBe(true);
    }
    const suffix = await scene.call(`blobs/${blob}`, { ...good, range: "bytes=-1000" });
    expect(suffix.body.equals(body.subarray(-1000))).toBe(true);
    const beyond = await scene.call(`blobs/${blob}`, { ...good, range: `bytes=${size}-` });
    expect(beyond).toMatchObject({ status: 416, headers: { "content-range": `bytes */${size}` } });
    const other = { ...good, range: "bytes=0-9", "if-range": '"other"' };
    expect(await scene.call(`blobs/${blob}`, other)).toMatchObject({ status: 200 });
    const current = await scene.call(`blobs/${blob}`, { ...good, "if-none-match": `"${blob}"` });
    expect(current).toMatchObject({ status: 304 });
  });

  test("all of it for one question to the registry, ranges too", async () => {
    const blobs = await scene.blobsOf();
    place.proxy.exchanges.length = 0;
    await scene.call("manifests/v1", good, "HEAD");
    await scene.call(`manifests/${digest}`);
    for (const { digest: blob } of blobs) {
      await scene.call(`blobs/${blob}`);
      await scene.call(`blobs/${blob}`, { ...good, range: "bytes=0-0" });
    }
    expect(scene.questions()).toEqual(["HEAD /v2/team/model/manifests/v1"]);
    expect(scene.decisions().at(-1)).toMatchObject({
      namespace: "peer",
      repository: `${place.proxy.address}/team/model`,
      verdict: "allowed",
      digest,
    });
    expect(JSON.stringify(place.log)).not.toContain(good.authorization.slice(6));
  });

  test("the same under containerd's names", async () => {
    const path = `/v2/team/model/manifests/v1?ns=${encodeURIComponent(place.proxy.address)}`;
    const { status, body } = await callMirror(scene.mirror(), path, { headers: good });
    expect(status).toBe(200);
    expect(body.equals((await scene.callUpstream("manifests/v1")).body)).toBe(true);
    const colon = `/v2/${place.proxy.address}/team/model/manifests/v1`;
    expect(await callMirror(scene.mirror(), colon, { headers: good })).toMatchObject({
      status: 200,
    });
  });

  test("what a tag names now, not what it named at the pull", async () => {
    const moved = await scene.pushFiles("team/model:v1", {
      "other.bin": seededBytes("other", 1000),
    });
    expect(faultOf(await scene.call("manifests/v1"))).toBe("404 MANIFEST_UNKNOWN");
    expect(await scene.call(`manifests/${digest}`)).toMatchObject({ status: 200 });
    await place.client("mount").acquire(place.volume("team/model:v1", "/b", { credential: login }));
    const { status, headers } = await scene.call("manifests/v1");
    expect({ status, digest: headers["docker-content-digest"] }).toEqual({
      status: 200,
      digest: moved,
    });
  });
});

describe("a mirror does not give", () => {
  test("what is here in part: the client goes to the registry for that layer", async () => {
    const partial = await scene.pushFiles("team/partial:v1", manySmallFiles("partial"));
    const include = ["part-0"];
    const volume = place.volume("team/partial:v1", "/b", { credential: login, include });
    await place.client("mount").acquire(volume);
    const ask = (rest: string) =>
      callMirror(scene.mirror(), `/v2/${scene.registryName()}/team/partial/${rest}`, {
        headers: good,
      });
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
    const first = await scene.pushFiles("team/line:v1", { a, b: seededBytes("b", 20_000), c });
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
      callMirror(scene.mirror(), `/v2/${scene.registryName()}/team/line/${rest}`, {
        headers: good,
      });
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
    const same = await scene.pushFiles("team/other:v1", manySmallFiles("v1"));
    expect(same).toBe(digest);
    const { digest: blob } = await scene.largestLayer();
    const ask = (rest: string) =>
      callMirror(scene.mirror(), `/v2/${scene.registryName()}/team/other/${rest}`, {
        headers: good,
      });
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
    const here = `/v2/${scene.registryName()}/team`;
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
      const answer = await callMirror(scene.mirror(), path, { headers: good });
      expect(`${path}: ${faultOf(answer)}`).toBe(`${path}: ${expected}`);
    }
  });

  test("anything to those who would write", async () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"])
      for (const rest of ["manifests/v1", "blobs/uploads/", `blobs/${unknownDigest}`]) {
        const answer = await scene.call(rest, good, method);
        expect(faultOf(answer)).toBe("405 UNSUPPORTED");
        expect(answer.headers.allow).toBe("GET, HEAD");
      }
    expect(scene.questions()).toEqual([]);
  });
});
