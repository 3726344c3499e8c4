/** Files that one caller may write. Disposing lets go of them; idempotent. */
export interface FileClaim extends Disposable {
  /** Ids; of those asked for, the ones that nobody else had claimed. */
  readonly owned: ReadonlySet<string>;
  /** Resolves when the others have let go of the rest, finished or not: look again. */
  readonly othersDone: Promise<void>;
}

/** Who writes which file of one origin right now. */
export type FileClaims = Map<string, Promise<void>>;

/** Claims all of `ids` that are free, at once. */
export function claimFiles(claims: FileClaims, ids: readonly string[]): FileClaim {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const owned = new Set<string>();
  const others = new Set<Promise<void>>();
  for (const id of ids) {
    const other = claims.get(id);
    if (other === done) continue;
    if (other !== undefined) others.add(other);
    else {
      claims.set(id, done);
      owned.add(id);
    }
  }
  return {
    owned,
    othersDone: Promise.all(others).then(() => undefined),
    [Symbol.dispose]: () => {
      for (const id of owned) if (claims.get(id) === done) claims.delete(id);
      resolve();
    },
  };
}
