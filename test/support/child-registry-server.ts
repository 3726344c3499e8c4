import { startRegistry } from "../../src/registry/server/server.ts";

/** Serves the folder in the first argument until it is killed; prints the address. */
const [root = "", port = "0"] = process.argv.slice(2);
const server = await startRegistry({ root, listen: { port: Number(port) } });
process.stdout.write(`${server.address}\n`);
