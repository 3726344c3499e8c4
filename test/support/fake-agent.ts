import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { json } from "node:stream/consumers";
import * as v from "valibot";
import {
  type AcquireRequest,
  acquireSchema,
  type ErrorDocument,
  type LeaseDocument,
  type ModelProgress,
  type MountedVolume,
  mountedSchema,
  type ReadyModel,
} from "../../src/agent/api/documents.ts";
import { type EventName, routes } from "../../src/agent/api/routes.ts";
import { createCondition } from "../../src/core/condition.ts";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { closeServer } from "./close-server.ts";
import { writeTree } from "./models.ts";

/** What callers who want a model meet, until it is changed. */
type FakeBehaviour =
  | { readonly kind: "ready" }
  /** They wait, and are told this. */
  | { readonly kind: "pulling"; readonly progress: Partial<ModelProgress> }
  | { readonly kind: "failed"; readonly error: ErrorDocument; readonly as: "event" | "answer" }
  /** They wait and are told nothing. */
  | { readonly kind: "silent" }
  /** A tree that is there for nobody. */
  | { readonly kind: "tree"; readonly tree: string };

/** An agent that has its models as plain folders and does as it is told. Its leases outlive `stop`. */
export interface FakeAgent extends AsyncDisposable {
  readonly socketPath: string;
  /** Below it lie the trees. */
  readonly storeRoot: string;
  /** One line per request: `acquire ID`, `retain ID`, `release ID`, `leases`. */
  readonly requests: string[];
  /** The body of each acquire. */
  readonly acquires: AcquireRequest[];
  readonly leases: Map<string, LeaseDocument>;
  /** Makes a model and resolves to its tree. */
  addModel(reference: string, files: Readonly<Record<string, string>>): Promise<string>;
  /** It does not know the model any more; the tree stays. */
  forgetModel(reference: string): void;
  behave(behaviour: FakeBehaviour): void;
  /** Resolves when it was asked for models `count` times in all. */
  awaitAsked(count: number): Promise<void>;
  /** Resolves when `count` callers wait. */
  awaitWaiting(count: number): Promise<void>;
  /** Answers releases with an error, or as it should. */
  failReleases(failing: boolean): void;
  /** Ends as a killed agent does: nobody listens, connections break. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

interface FakeModel {
  readonly tree: string;
  readonly bytes: number;
  readonly files: number;
}

/** Starts it in `folder`, at `<folder>/agent/agent.sock`. */
export async function startFakeAgent(folder: string): Promise<FakeAgent> {
  const socketPath = join(folder, "agent", "agent.sock");
  const storeRoot = join(folder, "store");
  await mkdir(dirname(socketPath), { recursive: true });
  await mkdir(storeRoot, { recursive: true });
  const models = new Map<string, FakeModel>();
  const requests: string[] = [];
  const acquires: AcquireRequest[] = [];
  const leases = new Map<string, LeaseDocument>();
  const change = createCondition();
  let behaviour: FakeBehaviour = { kind: "ready" };
  let version = 0;
  let waiting = 0;
  let releasesFail = false;
  let server = createServer();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = "" } = request;
    if (method === "POST" && url === routes.volumes) {
      await acquire(v.parse(acquireSchema, await json(request)), response);
    } else if (method === "DELETE" && url.startsWith(`${routes.volumes}/`)) {
      const id = url.slice(routes.volumes.length + 1);
      requests.push(`release ${id}`);
      if (releasesFail) return refuse(response, failure("STORE_IO", "no room to forget"));
      leases.delete(id);
      response.writeHead(204).end();
    } else if (method === "PUT" && url === routes.volumes) {
      const volume = v.parse(mountedSchema, await json(request));
      requests.push(`retain ${volume.id}`);
      if (!models.has(volume.reference)) return refuse(response, failure("NOT_FOUND", "not here"));
      leases.set(volume.id, { ...leaseOf(volume), digest: volume.digest });
      response.writeHead(204).end();
    } else if (method === "GET" && url === routes.volumes) {
      requests.push("leases");
      sendJson(response, 200, { leases: [...leases.values()] });
    } else refuse(response, failure("NOT_FOUND", `no route ${url}`));
  }

  async function acquire(body: AcquireRequest, response: ServerResponse): Promise<void> {
    requests.push(`acquire ${body.id}`);
    acquires.push(body);
    const held = leases.get(body.id);
    if (held !== undefined && held.reference !== body.reference)
      return refuse(response, failure("LEASE_EXISTS", "another model is leased"));
    leases.set(body.id, held ?? leaseOf(body));
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    let told = -1;
    let open = true;
    response.once("close", () => {
      open = false;
      change.notify();
    });
    waiting += 1;
    change.notify();
    try {
      for (;;) {
        if (!open) return;
        const done = await step(body, response, told !== version);
        told = version;
        if (done) return;
        await change.until(() => (told !== version || !open ? true : undefined));
      }
    } finally {
      waiting -= 1;
      change.notify();
    }
  }

  /** Tells a waiting caller what there is; true when that was the end. */
  async function step(
    body: AcquireRequest,
    response: ServerResponse,
    fresh: boolean,
  ): Promise<boolean> {
    const model = models.get(body.reference);
    switch (behaviour.kind) {
      case "silent":
        return false;
      case "pulling":
        if (fresh) sendEvent(response, "progress", { ...noProgress, ...behaviour.progress });
        return false;
      case "failed":
        sendEvent(response, "failed", behaviour.error);
        response.end();
        return true;
      case "tree":
      case "ready": {
        const error = failure("NOT_FOUND", `${body.reference} is not there`);
        if (model === undefined) sendEvent(response, "failed", error);
        else sendEvent(response, "ready", readyModel(body.reference, { ...model, ...behaviour }));
        response.end();
        return true;
      }
    }
  }

  async function start(): Promise<void> {
    server = createServer((request, response) => {
      if (behaviour.kind === "failed" && behaviour.as === "answer" && request.method === "POST")
        return refuse(response, behaviour.error);
      answer(request, response).catch((error: unknown) => {
        refuse(response, failure("AGENT_FAILED", String(error)));
      });
      return undefined;
    });
    await rm(socketPath, { force: true });
    server.listen(socketPath);
    await once(server, "listening");
  }

  const stop = () => closeServer(server);

  await start();
  return {
    socketPath,
    storeRoot,
    requests,
    acquires,
    leases,
    async addModel(reference, files) {
      const tree = join(storeRoot, "trees", digestHex(digestOf(reference)), "all", "tree");
      await writeTree(tree, files);
      const bytes = Object.values(files).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      models.set(reference, { tree, bytes, files: Object.keys(files).length });
      return tree;
    },
    forgetModel: (reference) => void models.delete(reference),
    behave(next) {
      behaviour = next;
      version += 1;
      change.notify();
    },
    awaitAsked: async (count) => {
      await change.until(() => (acquires.length >= count ? true : undefined));
    },
    awaitWaiting: async (count) => {
      await change.until(() => (waiting === count ? true : undefined));
    },
    failReleases(failing) {
      releasesFail = failing;
    },
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}

const noProgress: ModelProgress = {
  name: "registry.example.com/team/model",
  state: "pulling",
  totalBytes: 0,
  hereBytes: 0,
  bytesPerSecond: 0,
  secondsLeft: null,
};

function readyModel(reference: string, { tree, bytes, files }: FakeModel): ReadyModel {
  const digest = digestOf(reference);
  const name = `${reference.replace(/[:@][^/]*$/, "")}@${digest}`;
  return {
    name,
    digest,
    treeId: digestHex(digest),
    selection: "all",
    tree,
    bytes,
    files,
    moved: 0,
  };
}

function leaseOf({
  id,
  reference,
  target,
  subject,
}: AcquireRequest | MountedVolume): LeaseDocument {
  return {
    id,
    kind: "volume",
    reference,
    name: reference,
    digest: digestOf(reference),
    target,
    subject: subject ?? null,
    since: new Date().toISOString(),
  };
}

function sendEvent(response: ServerResponse, name: EventName, content: object): void {
  response.write(`event: ${name}\ndata: ${JSON.stringify(content)}\n\n`);
}

function sendJson(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(content));
}

function failure(code: string, message: string): ErrorDocument {
  return { code, message, hint: null };
}

function refuse(response: ServerResponse, error: ErrorDocument): void {
  if (response.headersSent) response.destroy();
  else sendJson(response, 400, { error });
}
