import { createPacer, type Pacer, type PacerOptions } from "./pacer.ts";

/** Servers of which something is remembered; who was asked for longest ago is forgotten first. */
const maxServers = 256;

/** Per process, since a server counts what a process sends, not what one of its repositories does. */
const pacers = new Map<string, Pacer>();

/** The pacer of a server (`key`: its origin, and what is known of it), shared by all who ask. */
export function sharedPacer(key: string, options: PacerOptions): Pacer {
  const pacer = pacers.get(key) ?? createPacer(options);
  pacers.delete(key);
  pacers.set(key, pacer);
  const [oldest] = pacers.size > maxServers ? pacers.keys() : [];
  if (oldest !== undefined) pacers.delete(oldest);
  return pacer;
}
