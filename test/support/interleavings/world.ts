import { renameSync, rmSync } from "node:fs";
import { readRecord } from "../../../src/store/model-record.ts";
import { openStore, type Store } from "../../../src/store/store.ts";
import type { DiskThreads } from "../../../src/transfer/disk-threads.ts";
import { type Target, targets } from "./catalogue.ts";
import { Expectations } from "./expectations.ts";
import type { Mount } from "./mount.ts";
import { runOperation } from "./operations.ts";
import type { Operation, Round } from "./scenario.ts";
import { tick } from "./ticks.ts";
import { createWatch, type Watch } from "./visible.ts";

/** A store at which operations overlap, watched at every turn. */
export class World {
  readonly root: string;
  readonly disk: DiskThreads | undefined;
  readonly expect: Expectations = new Expectations();
  readonly mounts: Set<Mount> = new Set();
  /** Removals under way. */
  removals = 0;
  #store: Store | undefined;
  readonly #watch: Watch;
  readonly #running = new Set<Promise<void>>();
  #turn = 0;
  #failure: { readonly error: unknown } | undefined;

  private constructor(root: string, store: Store, disk: DiskThreads | undefined) {
    this.root = root;
    this.disk = disk;
    this.#store = store;
    this.#watch = createWatch(root);
  }

  /** Opens it; with `disk` pulls write on those threads, else on the thread that runs the test. */
  static async open(root: string, disk?: DiskThreads): Promise<World> {
    const world = new World(root, await openStore(root), disk);
    for (const target of targets) await world.#learnPin(target);
    return world;
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error("nobody has the store open");
    return this.#store;
  }

  /** Whether the process that opened `store` is alive. */
  owns(store: Store): boolean {
    return this.#store === store;
  }

  /** Begins the steps of a round, each at its turn. */
  async begin({ steps }: Round): Promise<void> {
    for (const { after, operation } of steps) {
      await this.turns(after);
      this.start(operation);
    }
  }

  start(operation: Operation): void {
    this.#run((store) => runOperation(this, store, operation));
  }

  /** Lets the operations run for so many turns, and looks at the store at every fourth. */
  async turns(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      await tick();
      this.#turn += 1;
      if (this.#turn % 4 === 0) this.look();
    }
  }

  /** Waits for all operations. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await this.turns(1);
    this.look();
  }

  /** Throws when an operation failed that must not, or something is to be seen that must not. */
  look(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#watch.look();
    if (this.store.ledger.reservedBytes < 0) throw new Error("the ledger is negative");
    for (const mount of this.mounts) mount.checkPlace();
  }

  lookAtAll(): void {
    this.#watch.look(true);
    for (const mount of this.mounts) mount.check();
  }

  /**
   * Ends the process that owns the store at this very moment, and opens it again as another: by one
   * rename the store is out of reach of all that is still running. What is mounted stays mounted.
   */
  async crash(): Promise<void> {
    const dead = this.store;
    const aside = `${this.root}.crashed`;
    renameSync(this.root, aside);
    this.#store = undefined;
    this.expect.crashed({ removing: this.removals > 0 });
    await Promise.all(this.#running);
    await dead[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true, force: true });
    renameSync(aside, this.root);
    this.lookAtAll();
    await this.#reopen();
  }

  /** Closes the store in good order and opens it again. */
  async restart(): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.#reopen();
  }

  async close(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await Promise.all(this.#running);
    for (const mount of this.mounts) mount[Symbol.dispose]();
    await store?.[Symbol.asyncDispose]();
  }

  /** Mounts outlive a process: the next one leases what they show before it does anything else. */
  async #reopen(): Promise<void> {
    this.removals = 0;
    this.#store = await openStore(this.root);
    this.lookAtAll();
    for (const target of targets)
      if (this.expect.pinned(target) === undefined) await this.#learnPin(target);
    for (const mount of this.mounts) {
      const { origin, model } = mount.target;
      const lease = await this.store.lease(origin, model.manifest);
      const protection = this.expect.protect(mount.target);
      this.#run(async () => {
        using _lease = lease;
        using _protection = protection;
        await this.unmountLater(mount, 30);
      });
    }
  }

  /** What a crash interrupted was done or was not. */
  async #learnPin(target: Target): Promise<void> {
    const { origin, model } = target;
    const record = await readRecord(this.store.paths, origin, model.manifest);
    this.expect.setPinned(target, record?.pinned ?? false);
  }

  /** Keeps a mount for so many turns; it stays when a crash comes first. */
  async unmountLater(mount: Mount, hold: number): Promise<void> {
    const { store } = this;
    this.mounts.add(mount);
    for (let left = hold; left > 0 && this.owns(store); left -= 1) await tick();
    if (!this.owns(store)) return;
    mount.check();
    this.mounts.delete(mount);
    mount[Symbol.dispose]();
  }

  #run(work: (store: Store) => Promise<void>): void {
    const { store } = this;
    const running = work(store)
      // What a process does after its death is nobody's concern.
      .catch((error: unknown) => {
        if (this.owns(store)) this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
