/** What a FailedMount Event means. */
export interface MountMessage {
  /** `waiting`: no fault, it takes time. */
  readonly kind: "waiting" | "fault";
  /** Of a volume; undefined where the text names none. */
  readonly volume: string | undefined;
  /** What the plugin or the kubelet says, without what stands before. */
  readonly text: string;
  /** Undefined while there is nothing to do. */
  readonly next: string | undefined;
}

interface Meaning {
  readonly pattern: RegExp;
  readonly next: (match: RegExpExecArray, pod: { readonly namespace: string }) => string;
}

const doctor = "ballast cluster doctor tells what is missing on the node";

const meanings: readonly Meaning[] = [
  {
    pattern: /failed to find the secret (\S+) in the namespace (\S+)/,
    next: ([, name, namespace]) =>
      `make the secret: kubectl -n ${namespace} create secret docker-registry ${name} --docker-server=HOST --docker-username=NAME --docker-password=...`,
  },
  { pattern: /not found in the list of registered CSI drivers/, next: () => doctor },
  {
    pattern: /volume mode "\w+" not supported by driver/,
    next: () => "the CSIDriver object is missing or another one: ballast cluster doctor",
  },
  {
    pattern:
      /connection refused|connection error|Error while dialing|error reading from server: EOF/,
    next: () => `the plugin was not there just then; if this stays, ${doctor}`,
  },
  {
    pattern: /code = (?:Unauthenticated|PermissionDenied)/,
    next: (_, { namespace }) =>
      `check the login that nodePublishSecretRef names in ${namespace}: it must be able to pull this model`,
  },
  {
    pattern: /code = NotFound/,
    next: () => "check the reference: ballast inspect REF with the same login",
  },
  {
    pattern: /code = InvalidArgument/,
    next: () => "correct the volume's attributes: docs/csi.md lists them",
  },
  {
    pattern: /code = ResourceExhausted/,
    next: () => "the node's store is full of models in use: `ballast store ls` there tells which",
  },
  {
    pattern: /code = (?:Unavailable|DeadlineExceeded)/,
    next: () =>
      "it is tried again by itself; if this stays, look whether the registry answers the node",
  },
];

const waiting = /code = Aborted desc = (?:pulling|finishing|asking for|.* waits for its turn)/;

/** Reads the text of a FailedMount or FailedAttachVolume Event. */
export function readMountMessage(
  message: string,
  pod: { readonly namespace: string },
): MountMessage {
  const volume = /for volume "([^"]+)"/.exec(message)?.[1];
  const text = message
    .replace(/^\(combined from similar events\): /, "")
    .replace(/^\w+\.\w+ failed for volume "[^"]+" ?: /, "")
    .replace(/^rpc error: code = \w+ desc = /, "");
  if (waiting.test(message)) return { kind: "waiting", volume, text, next: undefined };
  for (const { pattern, next } of meanings) {
    const match = pattern.exec(message);
    if (match !== null) return { kind: "fault", volume, text, next: next(match, pod) };
  }
  return { kind: "fault", volume, text, next: undefined };
}
