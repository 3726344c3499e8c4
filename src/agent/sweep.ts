import { collect, type Sweep, type SweepOptions } from "../store/garbage.ts";
import type { Store } from "../store/store.ts";
import type { Departures } from "./departures.ts";

/**
 * Collects as `collect` does. Where somebody tells others what is here, the models that are to go are
 * announced first, and no others go.
 */
export async function sweep(
  { store, departures }: { readonly store: Store; readonly departures: Departures },
  options: Omit<SweepOptions, "among">,
): Promise<Sweep> {
  if (options.dryRun === true || !departures.isFollowed) return collect(store, options);
  const { removed: among } = await collect(store, { ...options, dryRun: true });
  return departures.leave(among, () => collect(store, { ...options, among }), options);
}
