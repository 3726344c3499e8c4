/** A set of mounts, and the files that paths lead to for whoever is in it (mount_namespaces(7)). */
export interface MountNamespace {
  /**
   * Runs `work` with this thread in the namespace: paths are those of there, and mounts are attached
   * and taken away there. What was opened there stays so, for every thread, wherever it is. `work` must
   * not be async and must not enter another one.
   */
  within<T>(work: () => T): T;
}

/** The one that this process is in. */
export const ownNamespace: MountNamespace = { within: (work) => work() };
