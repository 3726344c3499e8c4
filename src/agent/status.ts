import { statfs } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { nameOf, type StoredModel, surveyStore } from "../model/stored-models.ts";
import { createIndexFiles } from "../store/index-files.ts";
import type { LeaseRecord } from "../store/lease-record.ts";
import type { Store } from "../store/store.ts";
import type { LeaseDocument, ModelDocument, StatusDocument } from "./api/documents.ts";
import type { Deliveries } from "./deliveries/deliveries.ts";
import type { Departures } from "./departures.ts";
import type { Space } from "./space.ts";

/** Tells what is on this node. */
export interface Status {
  read(): Promise<StatusDocument>;
}

export interface StatusMeans {
  readonly version: string;
  readonly store: Store;
  readonly deliveries: Deliveries;
  readonly space: Space;
  readonly departures: Departures;
}

/** Opens the status of an agent that starts now. */
export function createStatus(means: StatusMeans): Status {
  const { version, store, deliveries, space, departures } = means;
  const startedAt = new Date().toISOString();
  const { root } = store.paths;
  const files = createIndexFiles(store.paths);

  /** Of models that are no more than wanted, too. */
  function describeAll(stored: readonly StoredModel[]): ModelDocument[] {
    const active = new Map(deliveries.active().map((each) => [each.model.name, each.progress()]));
    const known = new Set(stored.map(({ name }) => name));
    const begun = deliveries.active().filter(({ model }) => !known.has(model.name));
    const models = [...stored.map(describeStored), ...begun.map(({ model }) => describeNew(model))];
    return models.map((model) => {
      const progress = active.get(model.name) ?? null;
      const error = deliveries.failures.get(model.name) ?? null;
      const volumes = store.keptLeases().filter((lease) => showsModel(lease, model));
      const mounts = volumes.map(describeMount);
      const failed = error !== null && model.state === "partial" ? "failed" : model.state;
      const leaving = departures.isLeaving(model.name);
      const state = progress === null ? failed : "pulling";
      return { ...model, progress, error, mounts, state, leaving };
    });
  }

  return {
    read: async () => {
      const { bavail, blocks, bsize } = await statfs(root);
      const { models: stored, bytes } = await surveyStore({ store: root, files });
      const watermarks = await space.limits();
      const sizes = { bytes, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
      const models = describeAll(stored);
      return { version, startedAt, store: { root, ...sizes, watermarks }, models };
    },
  };
}

type Bare = Omit<ModelDocument, "progress" | "error" | "mounts" | "leaving">;

function describeStored(model: StoredModel): Bare {
  const { name, digest, tags, bytes, exclusiveBytes, pinned, lastUsed, trees } = model;
  const state = trees.length > 0 ? "ready" : "partial";
  const whole = trees.some((path) => basename(dirname(path)) === "all");
  return { name, digest, tags: [...tags], state, whole, bytes, exclusiveBytes, pinned, lastUsed };
}

function describeNew({ name, digest }: Pick<ModelDocument, "name" | "digest">): Bare {
  const lastUsed = new Date().toISOString();
  const sizes = { bytes: 0, exclusiveBytes: 0 };
  return {
    name,
    digest,
    tags: [],
    state: "partial",
    whole: false,
    ...sizes,
    pinned: false,
    lastUsed,
  };
}

function showsModel(lease: LeaseRecord, { name }: Bare): boolean {
  return lease.kind === "volume" && nameOf(lease) === name;
}

function describeMount({ target, subject }: LeaseRecord) {
  const { namespace = null, pod = null } = subject ?? {};
  return { target: target ?? "", namespace, pod };
}

/** A lease as the interface tells it. */
export function describeLease(lease: LeaseRecord): LeaseDocument {
  const { id, kind, reference, manifest, target, subject, since } = lease;
  const name = nameOf(lease);
  const who = { target: target ?? null, subject: subject ?? null };
  return { id, kind, reference, name, digest: manifest, ...who, since };
}
