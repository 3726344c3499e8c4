import { push } from "../../src/model/push.ts";
import { type AgentPlace, login, openAgentPlace } from "./agent-place.ts";
import { basicHeader, callMirror, type MirrorAnswer } from "./mirror-caller.ts";
import { makeTemporaryFolder, writeTree } from "./models.ts";
import { seededBytes } from "./workplace.ts";

type Headers = Readonly<Record<string, string>>;

/** Headers of who may read, and of who may not. */
export const good: { readonly authorization: string } = { authorization: basicHeader(login) };
export const wrong: Headers = {
  authorization: basicHeader({ ...login, password: "guessed" }),
};
export const unknownDigest: string = `sha256:${"0".repeat(64)}`;

export interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/** An agent with a mirror that has team/model:v1, of 25 files, from a registry with a login. */
export interface MirrorScene extends AsyncDisposable {
  readonly place: AgentPlace;
  /** Of team/model:v1. */
  readonly digest: string;
  /** Pushes a model to the registry and resolves to its digest. */
  pushFiles(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<string>;
  /** `host:port` of the mirror. */
  mirror(): string;
  /** The registry's name in a path. */
  registryName(): string;
  /** The path of something of team/model at the mirror. */
  pathTo(rest: string): string;
  /** Asks the mirror for something of team/model, by default as who may read. */
  call(rest: string, headers?: Headers, method?: string): Promise<MirrorAnswer>;
  /** Asks the registry for it. */
  callUpstream(rest: string, headers?: Headers): Promise<MirrorAnswer>;
  /** What the registry was asked. */
  questions(): string[];
  /** Lines of the audit log. */
  decisions(): Record<string, unknown>[];
  /** Blobs of a manifest of team/model, by default of v1. */
  blobsOf(reference?: string): Promise<Descriptor[]>;
  /** The blob with the most bytes: a layer with many files in it. */
  largestLayer(reference?: string): Promise<Descriptor>;
}

/** Opens it; the registry counts as not asked yet. */
export async function openMirrorScene(): Promise<MirrorScene> {
  await using resources = new AsyncDisposableStack();
  const place = resources.use(await openAgentPlace({ withLogin: true, withMirror: true }));
  const pushFiles: MirrorScene["pushFiles"] = async (name, files) => {
    await using folder = await makeTemporaryFolder();
    await writeTree(folder.path, files);
    const options = { reference: place.ref(name), credentials: login, base: false } as const;
    return (await push({ source: folder.path, ...options })).digest;
  };
  const digest = await pushFiles("team/model:v1", manySmallFiles("v1"));
  await place.client("mount").acquire(place.volume("team/model:v1", "/a", { credential: login }));
  place.proxy.exchanges.length = 0;
  const mirror = () => place.agent.mirrorAddress ?? "";
  // crane and others take no ":" there.
  const registryName = () => place.proxy.address.replace(":", "_");
  const pathTo = (rest: string) => `/v2/${registryName()}/team/model/${rest}`;
  const callUpstream: MirrorScene["callUpstream"] = (rest, headers = good) =>
    callMirror(place.proxy.address, `/v2/team/model/${rest}`, { headers });
  const blobsOf = async (reference = digest): Promise<Descriptor[]> => {
    const { body } = await callUpstream(`manifests/${reference}`);
    const { config, layers } = JSON.parse(body.toString());
    return [config, ...layers];
  };
  const owned = resources.move();
  return {
    place,
    digest,
    pushFiles,
    mirror,
    registryName,
    pathTo,
    call: (rest, headers = good, method = "GET") =>
      callMirror(mirror(), pathTo(rest), { headers, method }),
    callUpstream,
    questions: () => place.proxy.exchanges.map(({ method, url }) => `${method} ${url}`),
    decisions: () => place.log.filter(({ event }) => event === "access"),
    blobsOf,
    largestLayer: async (reference) => {
      const [largest] = (await blobsOf(reference)).sort((a, b) => b.size - a.size);
      if (largest === undefined) throw new Error("a model without layers");
      return largest;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Small files share layers. */
export function manySmallFiles(seed: string, bytes = 30_000): Record<string, Uint8Array> {
  const names = Array.from({ length: 25 }, (_, at) => `part-${at}`);
  return Object.fromEntries(
    names.map((name, at) => [name, seededBytes(`${seed} ${name}`, bytes + at)]),
  );
}
