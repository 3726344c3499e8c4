import { startRegistry } from "../../src/registry/server/server.ts";

/** Serves the folder in the first argument until it is killed; prints the address. */
const server = await startRegistry({ root: process.argv[2] ?? "" });
process.stdout.write(`${server.address}\n`);
