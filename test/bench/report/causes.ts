const tls =
  "both cores are busy nearly all of the time: receiving over TLS, hashing and writing 2 GiB take 3.4 CPU seconds and the registry 1.6 more, so two cores need 2.5 s at the least (docs/design/0001-byte-path.md)";
const plain =
  "both cores are busy nearly all of the time: receiving, hashing and writing 2 GiB take 2.4 CPU seconds and the registry 1.1 more, so two cores need 1.75 s at the least; for the first 0.25 s one core has nothing to do while the program starts, which crane does in 0.02 s";
const plainCpu =
  "what is done for each byte costs what it costs crane; starting the program and its threads takes 0.3 CPU seconds, which 2 GiB do not spread thin";
const push =
  "crane and regctl's copy start from an OCI layout, where every digest is known; crane hashes nothing at all. Hashing 2 GiB alone takes 1.2 CPU seconds, beside the 3.7 of the registry. Layers of several chunks are hashed once more, since both chunks and layers are named by their digest";

const copy =
  "for each byte it does what crane does, for the same CPU seconds; for the first 0.4 s, while the program and its threads start and manifests are read, nothing moves, which crane needs 0.02 s for";
const agentIdle =
  "the V8 heap is 18 MiB and the program itself 55, which are pages of a file; most of the rest is what glibc's malloc keeps of what threads gave back";

/** Why a target is missed, by its id: kept by hand, shown only while it is. */
export const causes: Readonly<Record<string, string>> = {
  "pull-tls": tls,
  "pull-tls-one-file": tls,
  "pull-plain": plain,
  "pull-plain-one-file": plain,
  "pull-capped-one-file":
    "64 MiB take 1.3 s at 50 MiB/s, and layers are asked for in their order: when the last few are on their way, the other connections have nothing left to do",
  "pull-plain-cpu": plainCpu,
  "pull-plain-one-file-cpu": plainCpu,
  copy,
  push,
  "push-one-file": push,
  "push-tls": push,
  "pull-present":
    "the process: Node starts in 30 ms, the program is loaded and its command line read in another 60, an HTTP client in 40, and one request asks what the tag names",
  "agent-memory-idle": agentIdle,
};
