//! What must hold for every built module: it imports nothing, it exports the ABI table and its
//! memory, and its kernels load vectors whole. The last is what keeps safe Rust fast: LLVM folds
//! `f32x4(c[0], c[1], …)` into one load, and this notices the day it does not.

use crate::abi_js::{self, Part};
use crate::wasm_binary::{self, Module, SIMD};
use crate::{TaskError, TaskResult};

/// Instruction numbers after the vector prefix.
const V128_LOAD: u32 = 0;
const I8X16_REPLACE_LANE: u32 = 23;
const I16X8_REPLACE_LANE: u32 = 26;
const I32X4_REPLACE_LANE: u32 = 28;
const V128_LOAD8_LANE: u32 = 84;
const V128_LOAD16_LANE: u32 = 85;
const V128_LOAD32_LANE: u32 = 86;
const I32X4_DOT_I16X8: u32 = 186;
const I16X8_RELAXED_DOT: u32 = 274;

/// Any of these shortly before an integer product means that a load fell apart. Elsewhere they are
/// the compiler's own vectorizing of scalar code, and welcome.
const LANE_BY_LANE: &[(u32, &str)] = &[
    (I8X16_REPLACE_LANE, "i8x16.replace_lane"),
    (I16X8_REPLACE_LANE, "i16x8.replace_lane"),
    (I32X4_REPLACE_LANE, "i32x4.replace_lane"),
    (V128_LOAD8_LANE, "v128.load8_lane"),
    (V128_LOAD16_LANE, "v128.load16_lane"),
    (V128_LOAD32_LANE, "v128.load32_lane"),
];

/// How many instructions before a product make up its loads: a whole vector from 16 bytes, taken
/// one by one, is three instructions each.
const WINDOW: usize = 48;

/// Which instructions a module may and must hold.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// No vector instruction at all.
    Scalar,
    /// Vector instructions, none of them relaxed.
    Simd128,
    /// The relaxed integer dot as the one relaxed instruction.
    Relaxed,
    /// Vector instructions, none of them relaxed, and no kernel.
    Text,
    /// The same.
    Packer,
    /// The same.
    Exporter,
    /// The same.
    Breeder,
}

impl Kind {
    /// The part of the source that a module of this kind is built from.
    pub fn part(self) -> Part {
        match self {
            Kind::Text => Part::Text,
            Kind::Packer => Part::Packer,
            Kind::Exporter => Part::Exporter,
            Kind::Breeder => Part::Breeder,
            Kind::Scalar | Kind::Simd128 | Kind::Relaxed => Part::Engine,
        }
    }
}

/// Checks one built module; the error lists everything that is wrong with it.
pub fn check(bytes: &[u8], kind: Kind) -> TaskResult {
    let module = wasm_binary::read(bytes).map_err(TaskError::Failed)?;
    let mut wrong = Vec::new();
    check_imports(&module, &mut wrong);
    check_exports(&module, &abi_js::export_names(kind.part())?, &mut wrong);
    check_instructions(&module, kind, &mut wrong);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Failed(wrong.join("\n  ")))
    }
}

fn check_imports(module: &Module, wrong: &mut Vec<String>) {
    for import in &module.imports {
        wrong.push(format!(
            "it imports {import}; a module needs nothing from its host"
        ));
    }
}

fn check_exports(module: &Module, expected: &[String], wrong: &mut Vec<String>) {
    let found: Vec<&str> = module
        .exports
        .iter()
        .filter(|one| one.kind == 0)
        .map(|one| one.name.as_str())
        .collect();
    for name in expected
        .iter()
        .filter(|name| !found.contains(&name.as_str()))
    {
        wrong.push(format!("it lacks the export {name} of the ABI table"));
    }
    for name in found
        .iter()
        .filter(|name| !expected.iter().any(|one| one == *name))
    {
        wrong.push(format!(
            "it exports {name}, which the ABI table does not name"
        ));
    }
    if !module
        .exports
        .iter()
        .any(|one| one.kind == 2 && one.name == "memory")
    {
        wrong.push("it does not export its memory".into());
    }
}

fn check_instructions(module: &Module, kind: Kind, wrong: &mut Vec<String>) {
    for (function, codes) in module.functions.iter().enumerate() {
        let vector = codes
            .iter()
            .filter(|code| **code & SIMD == SIMD)
            .map(|code| code & 0xFFFF);
        let refused = vector.filter(|opcode| match kind {
            Kind::Scalar => true,
            Kind::Simd128 | Kind::Text | Kind::Packer | Kind::Exporter | Kind::Breeder => {
                *opcode >= 256
            }
            Kind::Relaxed => *opcode >= 256 && *opcode != I16X8_RELAXED_DOT,
        });
        for opcode in std::collections::BTreeSet::from_iter(refused) {
            wrong.push(format!(
                "function {function} holds vector instruction {opcode}"
            ));
        }
    }
    let product = match kind {
        Kind::Scalar | Kind::Text | Kind::Packer | Kind::Exporter | Kind::Breeder => return,
        Kind::Simd128 => SIMD | I32X4_DOT_I16X8,
        Kind::Relaxed => SIMD | I16X8_RELAXED_DOT,
    };
    let whole_load = SIMD | V128_LOAD;
    let kernels: Vec<_> = module
        .functions
        .iter()
        .filter(|codes| codes.contains(&product))
        .collect();
    if !kernels.iter().any(|codes| codes.contains(&whole_load)) {
        wrong.push("no function multiplies integer vectors that it loads whole".into());
    }
    for (opcode, name) in LANE_BY_LANE {
        let n: usize = kernels
            .iter()
            .map(|codes| n_before(codes, SIMD | opcode, product))
            .sum();
        if n > 0 {
            wrong.push(format!(
                "kernels put vectors together lane by lane ({name} before {n} products)"
            ));
        }
    }
}

/// How many of the products have the instruction in the window before them.
fn n_before(codes: &[u32], instruction: u32, product: u32) -> usize {
    let products = codes
        .iter()
        .enumerate()
        .filter(|(_, code)| **code == product);
    products
        .filter(|(at, _)| codes[at.saturating_sub(WINDOW)..*at].contains(&instruction))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(opcodes: &[u32]) -> Module {
        let codes = opcodes.iter().map(|opcode| SIMD | opcode).collect();
        Module {
            functions: vec![codes],
            ..Module::default()
        }
    }

    fn findings(opcodes: &[u32], kind: Kind) -> usize {
        let mut wrong = Vec::new();
        check_instructions(&module(opcodes), kind, &mut wrong);
        wrong.len()
    }

    #[test]
    fn each_kind_accepts_its_own_kernels_only() {
        assert_eq!(findings(&[], Kind::Scalar), 0);
        assert_eq!(findings(&[V128_LOAD], Kind::Scalar), 1);
        assert_eq!(findings(&[V128_LOAD, I32X4_DOT_I16X8], Kind::Simd128), 0);
        assert_eq!(findings(&[V128_LOAD, I16X8_RELAXED_DOT], Kind::Relaxed), 0);
        assert_eq!(
            findings(&[V128_LOAD, I16X8_RELAXED_DOT, 261], Kind::Relaxed),
            1
        );
        assert!(findings(&[V128_LOAD, I16X8_RELAXED_DOT], Kind::Simd128) > 0);
        assert_eq!(findings(&[V128_LOAD], Kind::Packer), 0);
        assert_eq!(findings(&[I16X8_RELAXED_DOT], Kind::Packer), 1);
    }

    #[test]
    fn kernels_that_fell_apart_are_seen() {
        assert_eq!(findings(&[I32X4_DOT_I16X8], Kind::Simd128), 1);
        let split = [
            V128_LOAD,
            V128_LOAD8_LANE,
            I8X16_REPLACE_LANE,
            I32X4_DOT_I16X8,
        ];
        assert_eq!(findings(&split, Kind::Simd128), 2);
        let elsewhere = [V128_LOAD, I32X4_DOT_I16X8, V128_LOAD8_LANE];
        assert_eq!(findings(&elsewhere, Kind::Simd128), 0);
    }

    #[test]
    fn imports_and_exports_are_compared_with_the_table() {
        let mut module = module(&[]);
        module.imports.push("env.now".into());
        let export = |name: &str, kind| wasm_binary::Export {
            name: name.into(),
            kind,
            index: 0,
        };
        module.exports = vec![export("memory", 2), export("surprise", 0)];
        let mut wrong = Vec::new();
        check_imports(&module, &mut wrong);
        check_exports(&module, &["abi_version".into()], &mut wrong);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
