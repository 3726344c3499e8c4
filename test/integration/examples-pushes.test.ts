import { execFile } from "node:child_process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { push } from "../../src/model/push.ts";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import { ballastProgram, type CommandResult, runBallast } from "../support/ballast-command.ts";
import { writeDockerConfig } from "../support/docker-config.ts";
import { findObject, type Manifest, parseManifests, podOf } from "../support/manifests.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { mebi, readTree, seededBytes, snapshot } from "../support/workplace.ts";

const examples = join(import.meta.dirname, "../../examples");
const account = { username: "robot", password: "secret" };
const weights = seededBytes("weights", 2 * mebi);

let folder: TemporaryFolder;
let registry: RegistryServer;
const inside = (...names: string[]) => join(folder.path, ...names);

beforeAll(async () => {
  folder = await makeTemporaryFolder();
  registry = await startRegistry({ root: inside("registry"), auth: account });
  await writeTree(inside("model"), { "model.bin": weights, "config.json": "{}" });
  await writeTree(inside("training/qwen-tuned"), {
    "model.bin": weights,
    "config.json": '{"a":1}',
  });
  await mkdir(inside("login"));
  await writeDockerConfig(inside("login"), { [registry.address]: account });
  await symlink(ballastProgram, inside("ballast"));
  const reference = `${registry.address}/team/qwen:v1`;
  await push({ source: inside("model"), reference, credentials: account });
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** What an example says, with the places of this test in it. */
function here(text: string): string {
  return text
    .replaceAll("registry.example.com", registry.address)
    .replaceAll("/training", inside("training"))
    .replaceAll("/models", inside("models"))
    .replaceAll("/login", inside("login"));
}

async function readObjects(file: string): Promise<Manifest[]> {
  return parseManifests(here(await readFile(join(examples, file), "utf8")));
}

/** Runs the command of a container, with its environment and no more. */
function runContainer({ command, env }: Manifest): Promise<CommandResult> {
  const [, ...args]: string[] = command;
  const variables = env.map(({ name, value }: Manifest) => [name, value]);
  return runBallast(args, {
    home: folder.path,
    env: { ...Object.fromEntries(variables), HOME: folder.path },
  });
}

/** Runs a script as a runner does: in bash, which stops at the first failure. */
async function runScript(script: string, env: Readonly<Record<string, string>>): Promise<void> {
  await promisify(execFile)("bash", ["-e", "-o", "pipefail", "-c", script], {
    cwd: folder.path,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: folder.path,
      BALLAST_USERNAME: account.username,
      BALLAST_PASSWORD: account.password,
      ...env,
    },
  });
}

describe("examples/push-job", () => {
  test("pushes what training wrote, built on what it began with, and verifies it", async () => {
    const job = findObject(await readObjects("push-job/job.yaml"), "Job", "push-qwen");
    const [first] = podOf(job)["initContainers"];
    const pushed = await runContainer(first);
    expect(pushed).toMatchObject({ code: 0, out: expect.stringContaining("/team/qwen@sha256:") });
    expect(pushed.err).toMatch(/built on .*: 2\.0 MiB shared/);
    // The Job starts its pod again after a failure.
    expect(await runContainer(first)).toMatchObject({ code: 0, out: pushed.out });
    const [verify] = podOf(job)["containers"];
    expect(await runContainer(verify)).toMatchObject({ code: 0 });
  });
});

describe("examples/init-container", () => {
  test("pulls into a volume that is empty, and again after a restart", async () => {
    await mkdir(inside("models"));
    const [deployment] = await readObjects("init-container/deployment.yaml");
    const [pull] = podOf(deployment ?? {})["initContainers"];
    expect(await runContainer(pull)).toMatchObject({ code: 0, out: `${inside("models")}\n` });
    expect(await readTree(inside("models"))).toEqual(await readTree(inside("model")));
    const files = async () =>
      (await snapshot(inside("models"))).filter((line) => !line.startsWith(".ballast"));
    const before = await files();
    expect(await runContainer(pull)).toMatchObject({ code: 0 });
    expect(await files()).toEqual(before);
  });
});

test("examples/github-actions pushes and verifies, and names what it pushed", async () => {
  const file = join(examples, "github-actions/.github/workflows/push-model.yml");
  const { steps } = parse(here(await readFile(file, "utf8"))).jobs.push;
  const step = (name: string) => steps.find((each: Manifest) => each["name"] === name).run;
  const env = {
    TAG: "v7",
    GITHUB_OUTPUT: inside("output"),
    GITHUB_STEP_SUMMARY: inside("summary"),
  };
  await runScript(step("Push"), env);
  const [, pushed = ""] = /^name=(.*)$/m.exec(await readFile(inside("output"), "utf8")) ?? [];
  expect(pushed).toMatch(/\/team\/qwen@sha256:[0-9a-f]{64}$/);
  expect(await readFile(inside("summary"), "utf8")).toBe(`Deploy \`${pushed}\`\n`);
  await runScript(step("Verify"), { PUSHED: pushed });
  const unknown = pushed.replace(/.{8}$/, "00000000");
  await expect(runScript(step("Verify"), { PUSHED: unknown })).rejects.toThrow("NOT_FOUND");
});

test("examples/gitlab-ci pushes and verifies, and names what it pushed", async () => {
  const job = parse(here(await readFile(join(examples, "gitlab-ci/.gitlab-ci.yml"), "utf8")));
  const script: string[] = job["push-model"].script;
  const fetched = script.findIndex((line) => line.startsWith("chmod"));
  await runScript(script.slice(fetched + 1).join("\n"), { CI_COMMIT_TAG: "v8" });
  const report = await readFile(inside("pushed.env"), "utf8");
  expect(report).toMatch(/^QWEN=127\.0\.0\.1:\d+\/team\/qwen@sha256:[0-9a-f]{64}\n$/);
});
