import { closeSync, constants, openSync, statSync } from "node:fs";
import type { Target } from "./catalogue.ts";
import { checkTreeBytes, chosenFiles, type SelectionName } from "./visible.ts";

/** A tree that somebody reads through a folder he holds open, as a bind mount does. */
export interface Mount extends Disposable {
  readonly target: Target;
  readonly selection: SelectionName;
  /** Throws when a file of the tree is gone or wrong. */
  check(): void;
  /** Throws when the tree is not at its path any more. */
  checkPlace(): void;
}

/** Mounts the tree at `path`. */
export function mountTree(path: string, target: Target, selection: SelectionName): Mount {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  const { ino } = statSync(path);
  const files = chosenFiles(target, selection);
  return {
    target,
    selection,
    check: () => checkTreeBytes(`/proc/self/fd/${fd}`, files),
    checkPlace: () => {
      if (statSync(path).ino !== ino) throw new Error(`a mounted tree was replaced: ${path}`);
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
