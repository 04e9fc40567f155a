/**
 * Tells from a file's first bytes and its length what it is, so that the page can put files
 * together and answer a wrong one with advice. Names are looked at only for the texts that go with
 * safetensors and for PyTorch's archives. Whether a file is valid the engine says.
 */
/** Enough for every test below; read in one slice. */
export const HEAD_BYTES = 4096;

const MAGIC = [0x89, 0x53, 0x4c, 0x4d, 0x0d, 0x0a, 0x1a, 0x0a];
/** Texts of a Hugging Face folder that the importer reads. */
const COMPANION = new RegExp("^(((generation_|tokenizer_)?config|tokenizer|special_tokens_map"
  + "|added_tokens|vocab)\\.json|tokenizer\\.model|merges\\.txt|chat_template\\.jinja|README\\.md"
  + "|.*\\.safetensors\\.index\\.json)$");
const KIND_OFFSET = 12;
/** Wider than any model of this size class; keeps text and noise from passing as a header. */
const FIELD_MAX = 1 << 20;

/** Rows in order of trial: `kind`, `what` it is in words, `test(head, bytes, name)`. */
const KINDS = [
  { kind: "empty", what: "an empty file", test: (head, bytes) => bytes === 0 },
  {
    kind: "adapter", what: "an adapter package (.sla)",
    test: (head) => startsWith(head, MAGIC) && u32(head, KIND_OFFSET) === 2,
  },
  { kind: "package", what: "a Cultivar package", test: (head) => startsWith(head, MAGIC) },
  {
    kind: "gguf_lora", what: "a GGUF LoRA adapter",
    test: (head) => startsWith(head, ascii("GGUF"))
      && /general\.type.{12}adapter/s.test(latin(head)),
  },
  { kind: "gguf", what: "a GGUF model", test: (head) => startsWith(head, ascii("GGUF")) },
  {
    kind: "pickle", what: "a PyTorch file",
    test: (head, bytes, name) => startsWith(head, ascii("PK")) && /\.(bin|pth?)$/.test(name),
  },
  { kind: "zip", what: "a ZIP archive", test: (head) => startsWith(head, ascii("PK\x03\x04")) },
  { kind: "gzip", what: "a gzip archive", test: (head) => startsWith(head, [0x1f, 0x8b]) },
  {
    kind: "lora", what: "a PEFT adapter",
    test: (head) => head[8] === 0x7b && /\.lora_(A|B|embedding)/.test(latin(head)),
  },
  {
    kind: "peft_config", what: "the settings of a PEFT adapter",
    test: (head) => head[0] === 0x7b && latin(head).includes('"peft_type"'),
  },
  {
    kind: "safetensors", what: "a safetensors file",
    test: (head, bytes) => head.length > 9 && head[8] === 0x7b && u32(head, 4) === 0
      && u32(head, 0) + 8 <= bytes,
  },
  {
    kind: "companion", what: "a text of a Hugging Face folder",
    test: (head, bytes, name) => COMPANION.test(name),
  },
  { kind: "tokenizer", what: "a llama2.c tokenizer", test: isTokenizer },
  { kind: "checkpoint", what: "a llama2.c checkpoint", test: isCheckpoint },
  {
    kind: "record", what: "a replay record",
    test: (head) => startsWith(head, ascii('{"schema":"cultivar.replay.')),
  },
  { kind: "text", what: "a text file", test: isText },
  { kind: "unknown", what: "a file of an unknown kind", test: () => true },
];

/** `{ kind, what, note }` of a file given its head, its length in bytes and its name. */
export function fileKind(head, bytes, name = "") {
  const row = KINDS.find(({ test }) => test(head, bytes, name));
  const note = row.kind === "checkpoint" ? checkpointNote(head) : "";
  return { kind: row.kind, what: row.what, note };
}

/** Reads the head of a File or Blob and tells its kind. */
export async function kindOfFile(file) {
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  return fileKind(head, file.size, file.name);
}

function isCheckpoint(head) {
  return checkpointNote(head) !== null;
}

/**
 * What the seven numbers that open a llama2.c checkpoint (version 0) say: d_model, d_ff, n_layers,
 * n_heads, n_kv_heads, vocab_size (negative: an output matrix of its own) and context_len, as in
 * `run.c`, struct Config. Null if they cannot be a model's.
 */
function checkpointNote(head) {
  if (head.length < 28) return null;
  const view = viewOf(head);
  const numbers = Array.from({ length: 7 }, (_, idx) => view.getInt32(idx * 4, true));
  const isTied = numbers[5] > 0;
  numbers[5] = Math.abs(numbers[5]);
  if (numbers.some((number) => number <= 0 || number > FIELD_MAX)) return null;
  const [d_model, , n_layers, n_heads, n_kv_heads, vocab_size] = numbers;
  if (d_model % n_heads !== 0 || n_heads % n_kv_heads !== 0) return null;
  const output = isTied ? "" : ", own output matrix";
  return `${n_layers} layers, width ${d_model}, vocabulary ${vocab_size}${output}`;
}

/** u32 longest piece, then (f32 score, u32 length, bytes): the first record must make sense. */
function isTokenizer(head, bytes) {
  if (head.length < 13) return false;
  const longest = u32(head, 0);
  const first_len = u32(head, 8);
  const isSane = longest > 0 && longest <= 1024 && first_len > 0 && first_len <= longest;
  return isSane && 12 + first_len <= bytes && isScore(viewOf(head).getFloat32(4, true));
}

/** Scores are log probabilities or ranks, or 0; a tiny one is a small integer misread as f32. */
function isScore(score) {
  return Number.isFinite(score) && (score === 0 || Math.abs(score) > 1e-30);
}

/** UTF-8 without control characters; the head may end inside a character. */
function isText(head) {
  if (head.some((byte) => (byte < 0x20 && (byte < 0x09 || byte > 0x0d)) || byte === 0x7f)) {
    return false;
  }
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function startsWith(head, magic) {
  return head.length >= magic.length && magic.every((byte, idx) => head[idx] === byte);
}

const latin = (head) => String.fromCharCode(...head);

function ascii(text) {
  return [...text].map((character) => character.charCodeAt(0));
}

function u32(head, offset) {
  if (head.length < offset + 4) return -1;
  return viewOf(head).getUint32(offset, true);
}

function viewOf(head) {
  return new DataView(head.buffer, head.byteOffset, head.byteLength);
}
