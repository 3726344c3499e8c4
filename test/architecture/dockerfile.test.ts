import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readDocument } from "./tree.ts";

const repository = join(import.meta.dirname, "../..");
const dockerfile = await readDocument("deploy/Dockerfile");
const ignored = await readDocument("deploy/Dockerfile.dockerignore");

/** What is copied from the repository; what comes from an earlier stage has a flag. */
const sources = [...dockerfile.matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, names = ""]) =>
  names.split(" "),
);

describe("deploy/Dockerfile", () => {
  test("copies what is there, and what its ignore file lets in, no more", () => {
    expect(sources.length).toBeGreaterThan(5);
    expect(sources.filter((path) => !existsSync(join(repository, path)))).toEqual([]);
    const letIn = [...ignored.matchAll(/^!(.+)$/gm)].map(([, path = ""]) => path);
    const covers = (path: string, by: string) => `${path}/`.startsWith(`${by}/`);
    const shut = sources.filter((path) => !letIn.some((by) => covers(path, by)));
    const idle = letIn.filter((by) => !sources.some((path) => covers(path, by)));
    expect({ shut, idle }).toEqual({ shut: [], idle: [] });
  });

  test("builds on one image, that of Node, which its builder chooses", () => {
    const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    expect(new Set(images)).toEqual(new Set(["${NODE_IMAGE}"]));
    expect(dockerfile).toMatch(/^ARG NODE_IMAGE=node:24-/m);
  });

  test("has the uid that the agent's folders belong to", async () => {
    const [, uid] = /^USER (\d+):\d+$/m.exec(dockerfile) ?? [];
    const agent = await readDocument("deploy/kustomize/base/agent-daemon-set.yaml");
    expect(agent).toContain(`runAsUser: ${uid}\n`);
  });
});
