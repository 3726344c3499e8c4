/** What a token is good for: `repository:team/model:pull,push` (distribution, token scope). */
export type Scope = string;

/** The scope for one repository. */
export function repositoryScope(repository: string, writes: boolean): Scope {
  return `repository:${repository}:${writes ? "pull,push" : "pull"}`;
}

/** Joins scopes: one per resource, actions united and sorted. What has no three parts stays as it is. */
export function mergeScopes(scopes: readonly Scope[]): Scope[] {
  const actions = new Map<string, Set<string>>();
  const others = new Set<Scope>();
  for (const scope of scopes) {
    const colon = scope.lastIndexOf(":");
    if (colon <= scope.indexOf(":")) others.add(scope);
    else {
      const known = actions.get(scope.slice(0, colon)) ?? new Set();
      for (const action of scope.slice(colon + 1).split(",")) if (action !== "") known.add(action);
      actions.set(scope.slice(0, colon), known);
    }
  }
  const merged = [...actions].map(([resource, known]) => `${resource}:${[...known].sort().join()}`);
  return [...merged, ...others].filter((scope) => scope !== "").sort();
}
