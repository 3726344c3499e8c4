import { join } from "node:path";
import { defineConfig, type ViteUserConfig } from "vitest/config";

// Where .ci/run wants the results, to count them.
const report = process.env["BALLAST_TEST_REPORT"];

const project = (name: string, testTimeout: number) => ({
  name,
  include: [`test/${name}/**/*.test.ts`],
  testTimeout,
  hookTimeout: testTimeout,
});

const quick = (name: string, testTimeout: number) => ({
  test: {
    ...project(name, testTimeout),
    // The default leaves a core idle: of two, half of them.
    maxWorkers: "100%",
    // Threads and processes of tests run `src` as it is. Its types are stripped once, not at each
    // start, which takes half of the time of tests that pull or push.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, ".cache", "compiled") },
  },
});

const config: ViteUserConfig = defineConfig({
  test: {
    pool: "forks",
    ...(report === undefined
      ? {}
      : { reporters: ["default", "json"], outputFile: { json: report } }),
    projects: [
      quick("architecture", 10_000),
      quick("unit", 20_000),
      quick("conformance", 60_000),
      quick("integration", 120_000),
      // What it measures and the programs it starts keep the core that the default leaves.
      { test: { ...project("e2e", 1_200_000), sequence: { groupOrder: 1 } } },
    ],
  },
});

export default config;
