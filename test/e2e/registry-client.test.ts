import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { createCredentialSource } from "../../src/registry/client/credentials.ts";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { describeReferrers } from "../conformance/referrer-suite.ts";
import { describeRemoval } from "../conformance/removal-suite.ts";
import { describeRepository, type RepositoryUnderTest } from "../conformance/repository-suite.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { toolsMissing } from "../support/programs.ts";
import { startDistribution } from "../support/real-registries.ts";

let folder: string;
let certificates: Certificates;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-client-e2e-"));
  certificates = await makeCertificates(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(toolsMissing("registry", "docker-registry"))("real registries", () => {
  for (const version of ["v3", "v2"] as const)
    for (const [auth, tls] of [
      ["none", false],
      ["htpasswd", false],
      ["token", true],
    ] as const) {
      const name = `the client over distribution ${version}, auth ${auth}, tls ${tls}`;
      const open = () => openUnderTest({ version, auth, tls });
      describeRepository(name, open);
      describeReferrers(name, open);
      // docker-registry 2.8 takes the tag for a digest.
      describeRemoval(name, open, { removesTags: version === "v3" });
    }
});

async function openUnderTest(options: {
  readonly version: "v3" | "v2";
  readonly auth: "none" | "htpasswd" | "token";
  readonly tls: boolean;
}): Promise<RepositoryUnderTest> {
  const { version, auth, tls } = options;
  await using cleanups = new AsyncDisposableStack();
  const pair = tls ? certificates.server : undefined;
  const registry = cleanups.use(await startDistribution({ version, auth, tls: pair }));
  const explicit = { username: "tester", password: "secret" };
  const open = async (repository: string) =>
    cleanups.use(
      await openRegistryRepository({
        host: registry.address,
        repository,
        plainHttp: !tls,
        ca: tls ? certificates.authority : undefined,
        credentials: createCredentialSource({ environment: {}, explicit }),
        writes: true,
      }),
    );
  const repository = await open("team/model");
  const anotherRepositoryOnSameHost = await open("team/base");
  const owned = cleanups.move();
  return { repository, anotherRepositoryOnSameHost, dispose: () => owned.disposeAsync() };
}
