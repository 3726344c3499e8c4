import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { socketPath } from "../../src/agent/api/routes.ts";
import { createAgentClient } from "../../src/agent/client/client.ts";
import { type AgentProcess, agentUser, startAgentProcess } from "../support/agent-process.ts";
import { runBallast } from "../support/ballast-command.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { compareTensors } from "../support/python.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";
import { mebi, openWorkplace, seededBytes, type Workplace } from "../support/workplace.ts";

const isRoot = process.geteuid?.() === 0;

/** Skipped where nobody may change users. */
describe.skipIf(!isRoot)("an agent without any right", () => {
  let place: Workplace;
  let folder: TemporaryFolder;
  let agent: AgentProcess;

  beforeEach(async () => {
    place = await openWorkplace();
    folder = await makeTemporaryFolder();
    agent = await startAgentProcess(folder.path);
  });
  afterEach(async () => {
    await agent[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  const admin = () => createAgentClient(socketPath(agent.run, "admin"));
  const run = (...args: string[]) =>
    runBallast([...args, "--run", agent.run], { home: folder.path });

  test("runs as its own user, with no capability", async () => {
    const status = await readFile(`/proc/${agent.process.pid}/status`, "utf8");
    expect(status).toMatch(new RegExp(`^Uid:\\s+${agentUser}\\s+${agentUser}\\s`, "m"));
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^CapBnd:\s+0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
  });

  test("lets others read trees and nothing else", async () => {
    await place.push(await place.writeModel(), "team/model:v1");
    const ready = await admin().prefetch({ reference: place.ref("team/model:v1") });
    for (let path = ready.tree; path !== agent.root; path = join(path, ".."))
      expect((await stat(path)).mode & 0o777).toBe(path === ready.tree ? 0o555 : 0o755);
    expect((await stat(agent.root)).mode & 0o777).toBe(0o711);
    // The reserve comes and goes, and holds nothing.
    const others = (name: string) => !/^(?:VERSION|lock|reserve|trees)/.test(name);
    const open: string[] = [];
    for (const name of (await readdir(agent.root)).filter(others))
      if (((await stat(join(agent.root, name))).mode & 0o007) !== 0) open.push(name);
    expect(open).toEqual([]);
  });

  test("serves the commands: prefetch, status, pin", async () => {
    await place.push(await place.writeModel(), "team/model:v1");
    const prefetched = await run("prefetch", "--wait", "--pin", place.ref("team/model:v1"));
    expect(prefetched).toMatchObject({ code: 0 });
    expect(prefetched.err).toContain("is here after");
    expect(await readdir(prefetched.out.trim())).toContain("model.safetensors");
    const status = await run("status");
    expect(status.out).toMatch(/ready, pinned {2,}5\.0 MiB {2,}0 B {2,}- {2,}v1 {2,}127/);
    expect(status.out).toMatch(/^store .*: 5\.0 MiB, .* free; evicts below .* free$/m);
    const json: unknown = JSON.parse((await run("status", "--json")).out);
    expect(json).toMatchObject({ models: [{ state: "ready", pinned: true, mounts: [] }] });
  });

  test("is named where a command would open its store, with what to do instead", async () => {
    const reference = place.ref("team/model:v1");
    const env = { BALLAST_RUN: agent.run, BALLAST_STORE: agent.root };
    const pulled = await runBallast(["pull", reference], { home: folder.path, env });
    expect(pulled).toMatchObject({ code: 7, out: "" });
    expect(pulled.err).toContain(`STORE_LOCKED: the agent of this node owns the store`);
    expect(pulled.err).toContain(`ballast prefetch --wait ${reference}`);
    const verified = await runBallast(["store", "verify"], { home: folder.path, env });
    expect(verified.err).toContain("STORE_LOCKED");
  });

  test("says what is wrong where no agent is, and where a model is not", async () => {
    const missing = await run("prefetch", "--wait", place.ref("team/nothing:v1"));
    expect(missing).toMatchObject({ code: 3, out: "" });
    expect(missing.err).toContain("NOT_FOUND");
    await agent.stop();
    const alone = await run("status");
    expect(alone).toMatchObject({ code: 5, out: "" });
    expect(alone.err).toContain(`AGENT_UNAVAILABLE: no agent answers at ${agent.run}/admin`);
  });

  test("ends at SIGTERM while it pulls, and goes on when it is started again", async () => {
    const source = await place.write("large", { "weights.bin": seededBytes("large", 64 * mebi) });
    await place.push(source, "team/large:v1");
    await admin().beginPrefetch({ reference: place.ref("team/large:v1") });
    await agent.stop();
    expect(agent.log()).toContain('"event":"agent stops"');
    expect(await readdir(join(agent.run, "admin"))).toEqual([]);
    await agent.start();
    for await (const { models } of admin().watch()) if (models[0]?.state === "ready") break;
    expect(await admin().leases()).toEqual([]);
  });

  test("killed in the middle of a pull fetches again only what was not verified", async () => {
    const bytes = 96 * mebi;
    const source = await place.write("large", { "weights.bin": seededBytes("large", bytes) });
    await place.push(source, "team/large:v1");
    await admin().beginPrefetch({ reference: place.ref("team/large:v1") });
    for await (const { models } of admin().watch())
      if ((models[0]?.progress?.hereBytes ?? 0) > 0 || models[0]?.state === "ready") break;
    await agent.kill();
    await agent.start();
    for await (const { models } of admin().watch()) if (models[0]?.state === "ready") break;
    const ready = await admin().prefetch({ reference: place.ref("team/large:v1") });
    expect(ready).toMatchObject({ bytes, moved: 0 });
  });

  test("reads its configuration again at SIGHUP, and keeps the old one when that is wrong", async () => {
    await agent.stop();
    const path = join(folder.path, "agent.yaml");
    await writeFile(path, "registries: {allow: [registry.example.com]}\n");
    await chmod(path, 0o644);
    await using other = await startAgentProcess(folder.path, ["--config", path]);
    await place.push(await place.writeModel(), "team/model:v1");
    const reference = place.ref("team/model:v1");
    await expect(admin().prefetch({ reference })).rejects.toMatchObject({ code: "FORBIDDEN" });
    await writeFile(path, "registries: {alow: []}\n");
    process.kill(other.process.pid, "SIGHUP");
    await expect.poll(other.log).toContain('"event":"configuration kept"');
    await expect(admin().prefetch({ reference })).rejects.toMatchObject({ code: "FORBIDDEN" });
    await writeFile(path, `registries: {allow: ["${reference.split("/")[0]}"]}\n`);
    process.kill(other.process.pid, "SIGHUP");
    await expect.poll(other.log).toContain('"event":"configuration read"');
    expect(await admin().prefetch({ reference })).toMatchObject({ files: 3 });
  });
});

describe.skipIf(!isRoot || toolsMissing("registry", "python", "minilm"))(
  "an agent and the reference registry with logins",
  () => {
    let registry: Distribution;

    beforeEach(async () => {
      registry = await startDistribution({ version: "v3", auth: "htpasswd" });
    });
    afterEach(() => registry[Symbol.asyncDispose]());

    test("bring a real model to a pod's tree, every tensor equal", async () => {
      await using folder = await makeTemporaryFolder();
      await using agent = await startAgentProcess(folder.path);
      const reference = `${registry.address}/models/minilm:v1`;
      const env = { BALLAST_USERNAME: "tester", BALLAST_PASSWORD: "secret" };
      const source = toolPath("minilm");
      const pushed = await runBallast(["push", source, reference], { home: folder.path, env });
      expect(pushed.code).toBe(0);
      const mount = createAgentClient(socketPath(agent.run, "mount"));
      const subject = { namespace: "team-a", pod: "server-0", uid: "1" };
      const wanted = { id: "0".repeat(64), reference, target: "/pods/1", subject };
      await expect(mount.acquire(wanted)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
      const credential = { username: "tester", password: "secret" };
      const { tree } = await mount.acquire({ ...wanted, credential });
      expect(await compareTensors(source, tree)).toBeGreaterThan(50);
    });
  },
);
