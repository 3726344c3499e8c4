import { defineConfig, type ViteUserConfig } from "vitest/config";

// Where .ci/run wants the results, to count them.
const report = process.env["BALLAST_TEST_REPORT"];

const project = (name: string, testTimeout: number) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout },
});

const config: ViteUserConfig = defineConfig({
  test: {
    pool: "forks",
    ...(report === undefined
      ? {}
      : { reporters: ["default", "json"], outputFile: { json: report } }),
    projects: [
      project("architecture", 10_000),
      project("unit", 20_000),
      project("conformance", 60_000),
      project("integration", 120_000),
      project("e2e", 1_200_000),
    ],
  },
});

export default config;
