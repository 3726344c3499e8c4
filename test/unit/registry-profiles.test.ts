import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { limitsOf, profileFor } from "../../src/registry/profile-for.ts";
import { type Fact, profiles, type RegistryProfile } from "../../src/registry/profiles.ts";
import { profileTable, sourceTable } from "../support/profile-tables.ts";

describe("the profile of a host", () => {
  test.each([
    ["ghcr.io", "ghcr"],
    ["GHCR.IO:443", "ghcr"],
    ["123456789012.dkr.ecr.eu-central-1.amazonaws.com", "ecr"],
    ["123456789012.dkr-ecr.eu-central-1.on.aws", "ecr"],
    ["public.ecr.aws", "ecr-public"],
    ["europe-west3-docker.pkg.dev", "artifact-registry"],
    ["gcr.io", "artifact-registry"],
    ["eu.gcr.io", "artifact-registry"],
    ["team.azurecr.io", "acr"],
    ["docker.io", "docker-hub"],
    ["quay.io", "quay"],
    ["registry.example.com", "default"],
    ["127.0.0.1:5000", "default"],
    ["[::1]:5000", "default"],
    ["ghcr.io.example.com", "default"],
    ["notghcr.io", "default"],
    ["azurecr.io", "default"],
    ["a.b.azurecr.io", "default"],
    [".azurecr.io", "default"],
  ])("%s is %s", (host, name) => {
    expect(profileFor(host).name).toBe(name);
  });

  test("is the one that is named, whatever the host", () => {
    expect(profileFor("registry.example.com", "acr-premium").name).toBe("acr-premium");
    expect(profileFor("team.azurecr.io", "default").name).toBe("default");
  });

  test("that is named must be there; the message lists those that are", () => {
    expect(() => profileFor("registry.example.com", "acr premium")).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        hint: expect.stringContaining("acr-premium") as unknown,
      }) as Error,
    );
  });

  test("gives its limits, with its name", () => {
    expect(limitsOf(profileFor("x", "ecr"))).toEqual({
      source: "profile ecr",
      maxLayers: 500,
      maxBlobBytes: 54_525_952_000,
      maxManifestBytes: 4_194_304,
    });
  });
});

describe("profiles", () => {
  const facts = (profile: RegistryProfile) =>
    Object.values(profile).filter(
      (value): value is Fact<unknown> => typeof value === "object" && "value" in value,
    );

  test("have names of their own, and each host belongs to one", () => {
    const names = profiles.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const hosts = profiles.flatMap((profile) => profile.hosts);
    expect(new Set(hosts).size).toBe(hosts.length);
  });

  test.each(profiles.map((profile) => [profile.name, profile] as const))(
    "%s: every value has a source and a day, and every number is a bound",
    (_, profile) => {
      for (const { value, source, date } of facts(profile)) {
        expect(source.length).toBeGreaterThan(5);
        expect(date).toMatch(/^2026-\d\d-\d\d$/);
        if (typeof value === "number") expect(value).toBeGreaterThan(0);
      }
    },
  );

  test("are what docs/registry-profiles.md shows", async () => {
    const page = await readFile("docs/registry-profiles.md", "utf8");
    expect(page).toContain(profileTable());
    expect(page).toContain(sourceTable());
  });
});
