import { type CheckRegistryResult, checkRegistry } from "../../src/index.ts";

/** Checks a repository, wherever it keeps what it should not: that is for other tests to say. */
export const checkAnyway = (address: string, options: object = {}): Promise<CheckRegistryResult> =>
  checkRegistry({
    reference: `${address}/team/models`,
    mountFrom: "team/base",
    acceptLeftovers: true,
    ...options,
  });

/** `no 404 UNSUPPORTED`: what a check found of one behaviour. */
export function found(result: CheckRegistryResult, id: string): string {
  const behaviour = result.behaviours.find((each) => each.id === id);
  return [behaviour?.result, behaviour?.said ?? []].flat().join(" ");
}

/** `slow: no ranges`: what it says of a topic. */
export function words(result: CheckRegistryResult, topic: string): string {
  const verdict = result.verdicts.find((each) => each.topic === topic);
  return `${verdict?.answer}: ${verdict?.words}`;
}
