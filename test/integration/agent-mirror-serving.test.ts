import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultConfig } from "../../src/agent/config.ts";
import { startMirror } from "../../src/agent/mirror/mirror.ts";
import { openReach } from "../../src/model/reach.ts";
import { collect } from "../../src/store/garbage.ts";
import { openStore } from "../../src/store/store.ts";
import { type AgentPlace, login } from "../support/agent-place.ts";
import { callMirror, faultOf } from "../support/mirror-caller.ts";
import {
  good,
  type MirrorScene,
  manySmallFiles,
  openMirrorScene,
} from "../support/mirror-scene.ts";

let scene: MirrorScene;
let place: AgentPlace;

beforeEach(async () => {
  scene = await openMirrorScene();
  ({ place } = scene);
});
afterEach(() => scene[Symbol.asyncDispose]());

describe("a layer that is being served", () => {
  let blob: string;

  beforeEach(async () => {
    // More than sockets hold.
    const large = await scene.pushFiles("team/model:large", manySmallFiles("large", 800_000));
    const mount = place.client("mount");
    await mount.acquire(place.volume("team/model:large", "/large", { credential: login }));
    await mount.release(place.volume("team/model:large", "/large").id);
    await mount.release(place.volume("team/model:v1", "/a").id);
    ({ digest: blob } = await scene.largestLayer(large));
  });

  /** Begins to read a layer and stops after its first bytes. */
  async function beginLayer(address: string, blob: string): Promise<IncomingMessage> {
    const path = scene.pathTo(`blobs/${blob}`);
    const sent = request(`http://${address}`, { path, headers: good, agent: false }).end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    await once(answer, "readable");
    return answer;
  }

  test("is not evicted before its end, and is after", async () => {
    const expected = await scene.callUpstream(`blobs/${blob}`);
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
    const gone = await callMirror(served.address, scene.pathTo(`blobs/${blob}`), { headers: good });
    expect(faultOf(gone)).toBe("404 BLOB_UNKNOWN");
  });

  test("is cut when the agent ends", async () => {
    const answer = await beginLayer(scene.mirror(), blob);
    const cut = once(answer, "error");
    await place.stop();
    answer.resume();
    expect(await cut).toMatchObject([{ code: "ECONNRESET" }]);
  });
});
