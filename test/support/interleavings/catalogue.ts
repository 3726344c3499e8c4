import { fileId, treeId } from "../../../src/core/chunk-index.ts";
import { type Digest, digestOf } from "../../../src/core/digest.ts";
import { type Origin, originOf } from "../../../src/store/store-paths.ts";
import { bytesOf, describeModel, makeModel, type TestModel } from "../store-models.ts";

/** A model in a repository, and what its operations may lead to. */
export interface Target {
  /** Its place in `targets`. */
  readonly number: number;
  readonly origin: Origin;
  readonly model: TestModel;
  readonly treeId: string;
  /** Two models of a repository may go by one tag. */
  readonly tag: string;
  /** An index that claims content its repository does not have: it must never be pulled. */
  readonly honest: boolean;
}

const chunkBytes = 4096;
const shared = bytesOf("shared", 3 * chunkBytes);
const config = bytesOf("config", 200);
const secret = bytesOf("secret", 2 * chunkBytes + 5);

const first = makeModel(
  { shared, "weights/a": bytesOf("a", 2 * chunkBytes), "config.json": config },
  { chunkBytes },
);
const second = makeModel(
  { shared, "weights/b": bytesOf("b", chunkBytes + 1), "config.json": config, empty: Buffer.of() },
  { chunkBytes },
);
/** Shares chunks with the others, not files; has one content under two names. */
const third = makeModel(
  { longer: Buffer.concat([shared, bytesOf("end", 700)]), secret, "copy/of/secret": secret },
  { chunkBytes },
);
const repacked = makeModel(
  { shared, "config.json": config, own: bytesOf("own", 3 * chunkBytes) },
  { chunkBytes, layerBytes: 2 * chunkBytes },
);

const team = originOf("registry.example.com/team/model");
const neighbour = originOf("registry.example.com/other/model");
const mirror = originOf("mirror.example.net/model");

/** Every model of every repository. The neighbour has the very layers of `first`, but not those of `third`. */
export const targets: readonly Target[] = [
  target(team, first, "latest"),
  target(team, second, "latest"),
  target(team, third, "v3"),
  target(neighbour, first, "v1"),
  target(neighbour, repacked, "latest"),
  target(neighbour, claimOf(third), "stolen", false),
  target(mirror, first, "v1"),
  target(mirror, third, "v3"),
].map((each, number) => ({ ...each, number }));

/** The target of that number. */
export function targetAt(number: number): Target {
  const target = targets[number];
  if (target === undefined) throw new Error(`no target ${number}`);
  return target;
}

/** The right bytes of every file, by id. */
export const contents: ReadonlyMap<string, Buffer> = new Map(
  targets.flatMap(({ model }) =>
    model.index.files.map((file) => [fileId(file), model.files.get(file.path) ?? Buffer.of()]),
  ),
);

/** Ids of the files whose bytes an origin has. */
export function provableFiles(origin: Origin): ReadonlySet<string> {
  const own = targets.filter((each) => each.honest && each.origin === origin);
  return new Set(own.flatMap(({ model }) => model.index.files.map(fileId)));
}

function target(
  origin: Origin,
  model: TestModel,
  tag: string,
  honest = true,
): Omit<Target, "number"> {
  return { origin, model, treeId: treeId(model.index), tag, honest };
}

/** The same files and chunks, said to lie in a layer of other bytes. */
function claimOf(model: TestModel): TestModel {
  const sizes = model.index.layers.map((layer) => layer.size);
  const blobs = sizes.map((size) => bytesOf("nothing of the kind", size));
  const layers = blobs.map((blob) => ({ digest: digestOf(blob), size: blob.byteLength }));
  const served = new Map<Digest, Buffer>(blobs.map((blob) => [digestOf(blob), blob]));
  return describeModel(
    { layers, files: model.index.files },
    { files: Object.fromEntries(model.files), layers: served },
  );
}
