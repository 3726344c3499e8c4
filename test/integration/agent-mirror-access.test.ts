import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultConfig } from "../../src/agent/config.ts";
import { type AgentPlace, login, openAgentPlace } from "../support/agent-place.ts";
import { callMirror, faultOf } from "../support/mirror-caller.ts";
import {
  good,
  type MirrorScene,
  openMirrorScene,
  unknownDigest,
  wrong,
} from "../support/mirror-scene.ts";

let scene: MirrorScene;
let place: AgentPlace;
let digest: string;

beforeEach(async () => {
  scene = await openMirrorScene();
  ({ place, digest } = scene);
});
afterEach(() => scene[Symbol.asyncDispose]());

describe("a caller whose credential pulls nothing", () => {
  test("hears the registry's own refusal and challenge", async () => {
    for (const headers of [{}, wrong]) {
      const [ours, theirs] = [
        await scene.call("manifests/v1", headers),
        await scene.callUpstream("manifests/v1", headers),
      ];
      expect(faultOf(ours)).toBe("401 UNAUTHORIZED");
      expect(theirs.status).toBe(401);
      expect(ours.headers["www-authenticate"]).toBe(theirs.headers["www-authenticate"]);
    }
    expect(scene.decisions().slice(-2)).toMatchObject([
      { verdict: "denied" },
      { verdict: "denied" },
    ]);
  });

  test("hears the same whether a thing is here or not, also while others are served", async () => {
    const { digest: blob } = await scene.largestLayer();
    await scene.call(`blobs/${blob}`);
    const shown = async (rest: string, headers: Readonly<Record<string, string>>) => {
      const { status, headers: sent, body } = await scene.call(rest, headers);
      const { date: _, "x-request-id": _id, ...rest_ } = sent;
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
    expect(await scene.call(`manifests/${digest}`)).toMatchObject({ status: 200 });
    expect(await scene.call(`manifests/${digest}`, wrong)).toMatchObject({ status: 401 });
    expect(await scene.call(`manifests/${digest}`)).toMatchObject({ status: 200 });
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
    const { digest: blob } = await scene.largestLayer();
    await scene.call("manifests/v1");
    place.cut(true);
    expect(await scene.call(`blobs/${blob}`, { ...good, range: "bytes=0-9" })).toMatchObject({
      status: 206,
    });
    expect(faultOf(await scene.call("manifests/v1"))).toBe("503 UNKNOWN");
    expect(await scene.call(`blobs/${blob}`, wrong)).toMatchObject({ status: 503 });
  });
});

describe("a registry", () => {
  test("that the operator does not allow is not asked", async () => {
    const registries = { ...defaultConfig().registries, allow: ["registry.example.com", "b.test"] };
    await place.restart({ registries });
    const answer = await scene.call("manifests/v1");
    expect(faultOf(answer)).toBe("403 DENIED");
    expect(answer.body.toString()).toContain(place.proxy.address);
    expect(scene.questions()).toEqual([]);
  });

  test("that is the mirror itself is refused by name", async () => {
    for (const host of [scene.mirror(), scene.mirror().replace("127.0.0.1", "localhost")]) {
      const path = `/v2/team/model/manifests/v1?ns=${host}`;
      const answer = await callMirror(scene.mirror(), path, { headers: good });
      expect(faultOf(answer)).toBe("403 DENIED");
      expect(answer.body.toString()).toContain(host);
    }
  });

  test("that leads back to the mirror ends there", async () => {
    place.proxy.target = scene.mirror();
    expect(faultOf(await scene.call("manifests/v1"))).toBe("503 UNKNOWN");
    expect(scene.questions()).toEqual(["HEAD /v2/team/model/manifests/v1"]);
    const registries = { ...defaultConfig().registries, allow: [place.proxy.address] };
    await place.restart({ registries });
    place.proxy.target = scene.mirror();
    place.proxy.exchanges.length = 0;
    expect(await callMirror(scene.mirror(), "/v2/")).toMatchObject({ status: 200 });
    expect(scene.questions()).toEqual(["GET /v2/"]);
  });

  test("that is the only one tells at /v2/ how to log in", async () => {
    expect(await callMirror(scene.mirror(), "/v2/")).toMatchObject({ status: 200 });
    expect(scene.questions()).toEqual([]);
    const registries = { ...defaultConfig().registries, allow: [place.proxy.address] };
    await place.restart({ registries });
    const refused = await callMirror(scene.mirror(), "/v2/");
    expect(faultOf(refused)).toBe("401 UNAUTHORIZED");
    expect(refused.headers["www-authenticate"]).toBe('Basic realm="ballast"');
    expect(await callMirror(scene.mirror(), "/v2/", { headers: good })).toMatchObject({
      status: 200,
    });
  });
});
