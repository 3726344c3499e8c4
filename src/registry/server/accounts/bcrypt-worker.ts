import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";
import { answerQuestions } from "../../../core/worker-thread.ts";
import type { PasswordQuestion } from "./htpasswd-passwords.ts";

answerQuestions(parentPort, ({ password, hash }: PasswordQuestion) => compareSync(password, hash));
