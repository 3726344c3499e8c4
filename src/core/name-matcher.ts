import picomatch from "picomatch";

/**
 * Makes the test whether a name with slashes, such as a repository's, fits one of some globs, from
 * its beginning to its end: `team/*` is one level below `team`, `team/**` all of them and `team`.
 */
export function createNameMatcher(globs: readonly string[]): (name: string) => boolean {
  const matches = picomatch([...globs], { dot: true });
  return (name) => matches(name);
}
