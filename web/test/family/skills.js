/**
 * The demo family's accuracy matrix through the kit: the cells, right answers and run digests that
 * a native run wrote into fixtures/family/matrix.json. Runs wherever the kit does; `read(path)`
 * gives a file of fixtures/family as a Blob.
 */
const PARTS = ["adapter_config.json", "adapter_model.safetensors"];

/**
 * Goes through the sample of every cell, or through all cases. Resolves to `{nCases, wrong}`: what
 * differs, in words.
 */
export async function goThrough(kit, read, isFull) {
  const { n_sample: nSample, cells } = JSON.parse(await (await read("matrix.json")).text());
  const base = await read("sprout.slm");
  const model = await kit.openPackage(base);
  const adapters = {};
  const suites = {};
  for (const { suite: name } of cells) {
    adapters[name] ??= await openSkill(kit, model, { base, name }, read);
    suites[name] ??= (await (await read(`suites/${name}.holdout.jsonl`)).text()).trim().split("\n")
      .map((line) => JSON.parse(line));
  }
  const wrong = [];
  let nCases = 0;
  for (const { members, weights = [], suite, sample, all } of cells) {
    const cases = suites[suite].slice(0, isFull ? undefined : nSample);
    const mix = members.map((name, i) => ({ adapter: adapters[name], weight: weights[i] }));
    const found = await run(model, mix, cases);
    const expected = isFull ? all : sample;
    if (found.n_right !== expected.n_right || found.run_digests !== expected.run_digests) {
      const mixed = `${members.join(" + ") || "base"} ${weights}`;
      wrong.push(`${mixed} on ${suite}: ${JSON.stringify(found)}`);
    }
    nCases += cases.length;
  }
  await model.close();
  return { nCases, wrong };
}

async function openSkill(kit, model, { base, name }, read) {
  const files = await Promise.all(PARTS.map(async (part) =>
    new File([await read(`adapters/${name}/${part}`)], part)));
  return model.openAdapter((await kit.importAdapter(files, { base, name })).blob);
}

/** Right answers, and a SHA-256 over the run digests of the cases as text. */
async function run(model, mix, cases) {
  let n_right = 0;
  let digests = "";
  for (const { prompt_ids: ids, expected_ids: expected, end_id } of cases) {
    const wanted = [...expected, end_id];
    const session = await model.createSession({ max_tokens: wanted.length }, mix);
    for await (const token of session.generate(new Uint32Array(ids))) void token;
    const { output_ids: written, run_digest } = await session.report();
    await session.close();
    n_right += Number(String(written) === String(wanted));
    digests += run_digest;
  }
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(digests));
  const hex = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0"));
  return { n_right, run_digests: hex.join("") };
}
