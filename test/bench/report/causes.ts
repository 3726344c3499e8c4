/** Why a target is missed, by its id: kept by hand, shown only while it is. */
export const causes: Readonly<Record<string, string>> = {
  "pull-tls":
    "both cores are busy: what decrypting, hashing and writing take is nearly all of the time, with less CPU than the best peer takes",
  "pull-plain":
    "client and registry together leave the two cores idle for a good part of the time; what they wait for is not known yet",
  "pull-plain-cpu":
    "starting the program with its threads takes 0.4 CPU seconds, which 2 GiB do not spread thin",
  push: "crane starts from an OCI layout, where every digest is known, and hashes nothing; Ballast cuts, hashes, some layers twice, and asks for each layer",
};
