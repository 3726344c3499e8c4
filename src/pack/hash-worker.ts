import { parentPort } from "node:worker_threads";
import { createDigestHash, type Digest, type DigestHash } from "../core/digest.ts";
import { answerQuestions } from "../core/worker-thread.ts";
import type { HashQuestion } from "./hash-thread.ts";

const running = new Map<number, DigestHash>();

answerQuestions<HashQuestion, Digest | undefined>(parentPort, (question) => {
  const { hasher } = question;
  const hash = running.get(hasher) ?? createDigestHash();
  if (question.kind === "update") {
    for (const piece of question.bytes) hash.update(piece);
    running.set(hasher, hash);
    return undefined;
  }
  running.delete(hasher);
  return question.kind === "digest" ? hash.digest() : undefined;
});
