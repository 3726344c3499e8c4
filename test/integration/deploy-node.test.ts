import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readConfig } from "../../src/agent/config.ts";
import { type Manifest, parseManifests } from "../support/manifests.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { startProgram } from "../support/program-process.ts";

const repository = join(import.meta.dirname, "../..");
const base = join(repository, "deploy/kustomize/base");

/** Programs of the image, in a checkout. */
const programs: Readonly<Record<string, string>> = {
  ballast: join(repository, "bin/ballast"),
  "ask-socket": join(repository, "deploy/image/ask-socket.mjs"),
};

/** A user without rights of its own, in a container that cannot give it any. */
const user = (uid: number, gid = uid, capabilities: readonly string[] = []) => [
  "setpriv",
  `--reuid=${uid}`,
  `--regid=${gid}`,
  "--clear-groups",
  `--bounding-set=-all${capabilities.map((name) => `,+${name.toLowerCase()}`).join("")}`,
  "--inh-caps=-all",
  "--no-new-privs",
  "--pdeathsig=KILL",
  "--",
];
const agentUser = user(64646);

test("the agent.yaml of the base is one that an agent takes", async () => {
  const { registries, store } = await readConfig(join(base, "agent.yaml"));
  expect(registries.allow).toEqual(["registry.example.com"]);
  expect(store.lowFreePercent).toBeGreaterThanOrEqual(15);
});

describe.skipIf(process.getuid?.() !== 0)("the containers of the base, run as root may", () => {
  let node: TemporaryFolder;
  let agentPod: Manifest;
  let pluginPod: Manifest;

  beforeEach(async () => {
    node = await makeTemporaryFolder();
    await chmod(node.path, 0o755);
    agentPod = await readPod("agent-daemon-set.yaml");
    pluginPod = await readPod("csi-daemon-set.yaml");
    // As a kubelet makes the folders of hostPath volumes: root's.
    await mkdir(onNode("/var/lib/ballast"), { recursive: true });
    await mkdir(onNode("/run/ballast/mount"), { recursive: true });
    await mkdir(onNode("/etc/ballast/agent"), { recursive: true });
    await cp(join(base, "agent.yaml"), onNode("/etc/ballast/agent/agent.yaml"));
  });
  afterEach(() => node[Symbol.asyncDispose]());

  /** Paths of a node, below the test's own folder. */
  const onNode = (text: string) =>
    text.replace(/\/(?:var\/lib|run|etc)\/ballast\b/g, (path) => join(node.path, path));
  const commandOf = (container: Manifest): [string, ...string[]] => {
    const [program, ...args] = (container["command"] as string[]).map(onNode);
    return [programs[program ?? ""] ?? program ?? "", ...args];
  };
  const makeFolders = () => {
    const [container] = pluginPod["initContainers"];
    const { add } = container.securityContext.capabilities;
    return run(user(0, pluginPod["securityContext"].runAsGroup, add), commandOf(container));
  };
  const startAgent = () => {
    const [container] = agentPod["containers"];
    return startProgram([agentUser[0] ?? "", ...agentUser.slice(1), ...commandOf(container)], {
      env: { HOME: "/nonexistent", DOCKER_CONFIG: onNode("/etc/ballast/registry") },
      ready: /"event":"agent serves"/,
      timeoutMs: 60_000,
    });
  };
  const ask = (who: readonly string[], socket: string, path = "/readyz") =>
    run(who, [programs["ask-socket"] ?? "", onNode(socket), path]);

  test("give the folders to the agent, which waits for that and needs nothing else", async () => {
    const [wait] = agentPod["initContainers"];
    const look = commandOf(wait).map((arg) => arg.replace("sleep 1", "exit 7"));
    expect((await run(agentUser, look)).code).toBe(7);
    expect(await makeFolders()).toMatchObject({ code: 0 });
    expect(await run(agentUser, commandOf(wait))).toMatchObject({ code: 0 });
    const { process: agent } = await startAgent();
    await using _ = agent;
    const { uid, mode } = await stat(onNode("/var/lib/ballast"));
    expect([uid, mode & 0o777]).toEqual([64646, 0o711]);
    const [container] = agentPod["containers"];
    const probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    const answers = await Promise.all(
      probes.map((probe) => run(agentUser, commandOf(container[probe].exec))),
    );
    expect(answers).toMatchObject([{ code: 0 }, { code: 0 }, { code: 0 }]);
    await agent.kill();
    expect(await run(agentUser, commandOf(container.livenessProbe.exec))).toMatchObject({
      code: 1,
      err: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("let the plugin's group connect where mounts are asked for, and nobody else", async () => {
    await makeFolders();
    const { process: agent } = await startAgent();
    await using _ = agent;
    const socket = "/run/ballast/mount/agent.sock";
    const { runAsUser, runAsGroup } = pluginPod["securityContext"];
    expect(await ask(user(runAsUser, runAsGroup), socket)).toMatchObject({ code: 0 });
    expect(await ask(user(65534), socket)).toMatchObject({
      code: 1,
      err: expect.stringContaining("EACCES"),
    });
  });

  test("may begin again on folders that an agent has used", async () => {
    await makeFolders();
    const { process: agent } = await startAgent();
    await using _ = agent;
    expect(await makeFolders()).toMatchObject({ code: 0 });
    expect(await ask(agentUser, "/run/ballast/admin/agent.sock")).toMatchObject({ code: 0 });
  });
});

const plugin = join(repository, "csi/main.ts");

test.skipIf(!existsSync(plugin))(
  "the plugin has the flags that its container gives it",
  async () => {
    const [container] = (await readPod("csi-daemon-set.yaml"))["containers"];
    const { code, out } = await run([], [process.execPath, plugin, "--help"]);
    expect(code).toBe(0);
    for (const word of container.command.slice(1)) expect(out).toContain(`${word.split("=")[0]} <`);
  },
);

describe("ask-socket", () => {
  test.each([
    ["nobody", "/nonexistent/agent.sock", /ENOENT/],
    ["a file", join(repository, "package.json"), /ECONNREFUSED/],
  ])("says no to %s", async (_, socket, why) => {
    const { code, err } = await run([], [programs["ask-socket"] ?? "", socket, "/healthz"]);
    expect(code).toBe(1);
    expect(err).toMatch(why);
  });
});

async function readPod(file: string): Promise<Manifest> {
  const [object] = parseManifests(await readFile(join(base, file), "utf8"));
  return object?.["spec"].template.spec;
}

/** Runs a command to its end, as somebody. */
async function run(who: readonly string[], command: readonly string[]) {
  const [program = "", ...args] = [...who, ...command];
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; out: string; err: string }>();
  execFile(program, args, (error, out, err) => resolve({ code: error?.code ?? 0, out, err }));
  return promise;
}
