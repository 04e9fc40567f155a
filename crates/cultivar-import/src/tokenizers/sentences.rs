//! What can be wrong with a foreign tokenizer, as sentences: codes 570 to 584.
//!
//! A second table beside that of `error_text`; the rules of that one hold here too.

/// Per code what to say, ascending.
pub(crate) const SENTENCES: &[(i32, &str)] = &[
    (
        570,
        "the tokenizer model {field} is not supported; supported are byte-level BPE, BPE with a \
         space mark, SentencePiece BPE and Unigram",
    ),
    (
        571,
        "the pre-tokenizer {field} is not supported; supported are gpt-2, mpt, llama-bpe, dbrx, \
         qwen2, smollm, command-r, falcon, deepseek-llm, deepseek-coder, default and what is \
         equal to one of these",
    ),
    (572, "{field}: merge {0} does not consist of two pieces"),
    (
        573,
        "{field}: merge {0} names a piece that the vocabulary lacks",
    ),
    (574, "the tokenizer step {field} is not supported"),
    (
        575,
        "{field} has {0} entries where the vocabulary has {1} pieces",
    ),
    (576, "{field}: piece {0} stands twice in the vocabulary"),
];
