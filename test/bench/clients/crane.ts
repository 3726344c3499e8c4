import { toolPath } from "../../support/programs.ts";
import { type Client, type Copier, makeCommand, trust } from "./client.ts";

/** Its other formats pack the layers into one tar file. */
const format = "--format=oci";

/** go-containerregistry's command. */
export const crane: Client = {
  name: "crane",
  pull: ({ server, name, output, home }) =>
    makeCommand(toolPath("crane"), ["pull", format, `${server.host}/${name}`, output], {
      home,
      env: trust(server),
    }),
  push: ({ server, name, layout, home }) =>
    makeCommand(toolPath("crane"), ["push", layout, `${server.host}/${name}`], {
      home,
      env: trust(server),
    }),
  version: (home) => makeCommand(toolPath("crane"), ["version"], { home }),
};

/** Its copy; four jobs at once, as by default. */
export const craneCopier: Copier = {
  name: "crane",
  copy: ({ from, to, name, home }) =>
    makeCommand(toolPath("crane"), ["copy", `${from.host}/${name}`, `${to.host}/${name}`], {
      home,
      env: trust(to),
    }),
};
