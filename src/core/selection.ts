import picomatch from "picomatch";
import { digestHex, digestOf } from "./digest.ts";
import { ModelError } from "./errors.ts";
import { comparePaths } from "./model-path.ts";

/** Which files of a model are wanted, by glob. No `include` means all; `exclude` wins. */
export interface Selection {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
}

/**
 * Makes the test for one path. A pattern without `/` matches file names in any folder
 * (`*.json`); one with `/` matches the whole path. A pattern that ends in `/` means the folder.
 */
export function createPathFilter(selection: Selection): (path: string) => boolean {
  const included = selection.include?.length ? matcher(selection.include) : () => true;
  const excluded = selection.exclude?.length ? matcher(selection.exclude) : () => false;
  return (path) => included(path) && !excluded(path);
}

function matcher(patterns: readonly string[]): (path: string) => boolean {
  const matchers = patterns.map((pattern) => {
    if (pattern === "") throw new ModelError("INVALID_ARGUMENT", "an empty glob matches nothing");
    const glob = pattern.replace(/^\.\//, "").replace(/\/$/, "/**");
    return picomatch(glob, { dot: true, basename: !glob.includes("/") });
  });
  return (path) => matchers.some((matches) => matches(path));
}

/** The same text for the same globs, whatever their order; an empty list is as good as none. */
export function selectionKey({ include = [], exclude = [] }: Selection): string {
  return JSON.stringify([include, exclude].map((globs) => [...new Set(globs)].toSorted()));
}

/** Names a selection by the paths it chose: `all`, or the hex sha256 of the sorted path list. */
export function selectionId(chosen: readonly string[], all: readonly string[]): string {
  if (chosen.length === all.length) return "all";
  return digestHex(digestOf(chosen.toSorted(comparePaths).join("\0")));
}
