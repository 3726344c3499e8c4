import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import type { RegistryOffers } from "../../src/registry/server/offers.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { describeReferrers } from "./referrer-suite.ts";
import { describeRemoval } from "./removal-suite.ts";
import { describeRepository, type RepositoryUnderTest } from "./repository-suite.ts";

const name = "the registry client over the embedded registry";
describeRepository(name, () => openUnderTest());
describeReferrers(name, () => openUnderTest());
describeRemoval(name, () => openUnderTest());
describeReferrers("the registry client where no API lists referrers", () =>
  openUnderTest({ referrers: false }),
);

async function openUnderTest(offers?: RegistryOffers): Promise<RepositoryUnderTest> {
  await using cleanups = new AsyncDisposableStack();
  const root = await mkdtemp(join(tmpdir(), "ballast-client-suite-"));
  cleanups.defer(() => rm(root, { recursive: true, force: true }));
  const server = cleanups.use(await startRegistry({ root, offers }));
  const open = async (repository: string) =>
    cleanups.use(await openRegistryRepository({ host: server.address, repository, writes: true }));
  const repository = await open("team/model");
  const anotherRepositoryOnSameHost = await open("team/base");
  const owned = cleanups.move();
  return { repository, anotherRepositoryOnSameHost, dispose: () => owned.disposeAsync() };
}
