import { unknownName } from "./nearest.ts";
import { below, type Fields, isFields, listAt, type Problem } from "./problem.ts";

const stepFields =
  "name id if uses with run env shell working-directory timeout-minutes continue-on-error".split(
    " ",
  );
const jobFields =
  "name needs if runs-on container env steps permissions outputs timeout-minutes strategy concurrency environment services defaults".split(
    " ",
  );
const gitlabJobFields =
  "stage image script before_script after_script variables rules needs artifacts tags timeout retry id_tokens resource_group environment".split(
    " ",
  );
const gitlabWords = ["stages", "variables", "default", "workflow", "include"];

/** Checks the shape of a workflow of GitHub Actions or a pipeline of GitLab CI. */
export function checkPipeline(file: string, document: unknown): Problem[] {
  if (!isFields(document)) return [{ path: "", problem: "is no object" }];
  return file.endsWith(".gitlab-ci.yml") ? checkGitlab(document) : checkGithub(document);
}

function checkGithub(document: Fields): Problem[] {
  const jobs = isFields(document["jobs"]) ? Object.entries(document["jobs"]) : [];
  return [
    ...("on" in document ? [] : [{ path: "on", problem: "is missing" }]),
    ...(jobs.length > 0 ? [] : [{ path: "jobs", problem: "is missing" }]),
    ...jobs.flatMap(([name, job]) => checkGithubJob(job, `jobs.${name}`)),
  ];
}

function checkGithubJob(job: unknown, path: string): Problem[] {
  if (!isFields(job)) return [{ path, problem: "is no object" }];
  const steps = listAt(job, "steps");
  return [
    ...unknownFields(job, jobFields, path),
    ...("runs-on" in job ? [] : [{ path: below(path, "runs-on"), problem: "is missing" }]),
    ...(steps.length > 0 ? [] : [{ path: below(path, "steps"), problem: "is missing" }]),
    ...steps.flatMap((step, index) => checkStep(step, below(below(path, "steps"), index))),
  ];
}

function checkStep(step: unknown, path: string): Problem[] {
  if (!isFields(step)) return [{ path, problem: "is no object" }];
  const does = ["uses", "run"].filter((word) => word in step);
  return [
    ...unknownFields(step, stepFields, path),
    ...(does.length === 1 ? [] : [{ path, problem: "needs uses or run, and one of them" }]),
  ];
}

function checkGitlab(document: Fields): Problem[] {
  const jobs = Object.entries(document).filter(([name]) => !gitlabWords.includes(name));
  return jobs.flatMap(([name, job]) => {
    if (!isFields(job)) return [{ path: name, problem: "is no object" }];
    const hasScript = listAt(job, "script").length > 0;
    return [
      ...unknownFields(job, gitlabJobFields, name),
      ...(hasScript ? [] : [{ path: below(name, "script"), problem: "is missing" }]),
    ];
  });
}

function unknownFields(value: Fields, known: readonly string[], path: string): Problem[] {
  return Object.keys(value)
    .filter((key) => !known.includes(key))
    .map((key) => ({ path: below(path, key), problem: unknownName("field", key, known) }));
}
