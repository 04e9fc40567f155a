//! Reads what the checks need from a WebAssembly module: imports, exports and the
//! instructions of each function. It knows the instructions a Rust compiler emits for our feature
//! set and refuses others by opcode, so a new feature is seen and not skipped wrongly.
//! Source: WebAssembly core specification 3.0, chapter 5 (binary format).

/// Marks vector instructions: the code of vector opcode `n` is `SIMD | n`.
pub const SIMD: u32 = 0xFD_0000;
const MISC: u32 = 0xFC_0000;

/// One exported item.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The name the host sees.
    pub name: String,
    /// 0 function, 1 table, 2 memory, 3 global.
    pub kind: u8,
    /// Index in the module's index space of that kind.
    pub index: u32,
}

/// Codes of a function's instructions, in order.
pub type Instructions = Vec<u32>;

/// What was read.
#[derive(Debug, Default)]
pub struct Module {
    /// `module.name` of every import.
    pub imports: Vec<String>,
    /// Exports in file order.
    pub exports: Vec<Export>,
    /// Instructions of every function defined in the module, in order.
    pub functions: Vec<Instructions>,
}

/// Reads a module; the error says at which byte and why.
pub fn read(bytes: &[u8]) -> Result<Module, String> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(8)? != b"\0asm\x01\0\0\0" {
        return Err("not a WebAssembly 1 module".into());
    }
    let mut module = Module::default();
    while reader.at < bytes.len() {
        let id = reader.byte()?;
        let len = reader.u32()? as usize;
        let at = reader.at;
        let body = reader.take(len)?;
        let mut section = Reader { bytes: body, at: 0 };
        let done = match id {
            2 => read_imports(&mut section, &mut module),
            7 => read_exports(&mut section, &mut module),
            10 => read_code(&mut section, &mut module),
            _ => Ok(()),
        };
        done.map_err(|reason| format!("section {id} at byte {at}: {reason}"))?;
    }
    Ok(module)
}

fn read_imports(section: &mut Reader, module: &mut Module) -> Result<(), String> {
    for _ in 0..section.u32()? {
        let host = section.name()?;
        let name = section.name()?;
        match section.byte()? {
            0 => drop(section.u32()?),
            1 => {
                section.byte()?;
                section.limits()?;
            }
            2 => section.limits()?,
            3 => drop(section.take(2)?),
            kind => return Err(format!("unknown kind of import {kind}")),
        }
        module.imports.push(format!("{host}.{name}"));
    }
    Ok(())
}

fn read_exports(section: &mut Reader, module: &mut Module) -> Result<(), String> {
    for _ in 0..section.u32()? {
        let export = Export {
            name: section.name()?,
            kind: section.byte()?,
            index: section.u32()?,
        };
        module.exports.push(export);
    }
    Ok(())
}

fn read_code(section: &mut Reader, module: &mut Module) -> Result<(), String> {
    for function in 0..section.u32()? {
        let len = section.u32()? as usize;
        let mut body = Reader {
            bytes: section.take(len)?,
            at: 0,
        };
        for _ in 0..body.u32()? {
            body.u32()?;
            body.byte()?;
        }
        let mut instructions = Instructions::new();
        while body.at < body.bytes.len() {
            let code = skip_instruction(&mut body)
                .map_err(|reason| format!("function {function}, byte {}: {reason}", body.at))?;
            instructions.push(code);
        }
        module.functions.push(instructions);
    }
    Ok(())
}

/// Reads one instruction with its immediates; returns its code.
fn skip_instruction(body: &mut Reader) -> Result<u32, String> {
    let opcode = body.byte()?;
    match opcode {
        // Blocks: a block type is one signed number (a value type is a negative one).
        0x02..=0x04 => body.leb()?,
        // Branches, calls, locals, globals, reference constants, memory size and growth.
        0x0C | 0x0D | 0x10 | 0x12 | 0x20..=0x26 | 0x3F | 0x40 | 0x41 | 0x42 | 0xD0 | 0xD2 => {
            body.leb()?;
        }
        0x0E => {
            for _ in 0..=body.u32()? {
                body.u32()?;
            }
        }
        0x11 | 0x13 => {
            body.u32()?;
            body.u32()?;
        }
        0x1C => {
            let n_types = body.u32()? as usize;
            body.take(n_types)?;
        }
        0x28..=0x3E => body.memory_argument()?,
        0x43 => drop(body.take(4)?),
        0x44 => drop(body.take(8)?),
        0x00 | 0x01 | 0x05 | 0x0B | 0x0F | 0x1A | 0x1B | 0x45..=0xC4 | 0xD1 => {}
        0xFC => return skip_misc(body),
        0xFD => return skip_vector(body),
        _ => return Err(format!("unknown instruction {opcode:#04x}")),
    }
    Ok(u32::from(opcode))
}

fn skip_misc(body: &mut Reader) -> Result<u32, String> {
    let opcode = body.u32()?;
    let n_indices = match opcode {
        0..=7 => 0,
        9 | 11 | 13 | 15..=17 => 1,
        8 | 10 | 12 | 14 => 2,
        _ => return Err(format!("unknown instruction 0xfc {opcode}")),
    };
    for _ in 0..n_indices {
        body.u32()?;
    }
    Ok(MISC | opcode)
}

fn skip_vector(body: &mut Reader) -> Result<u32, String> {
    let opcode = body.u32()?;
    match opcode {
        0..=11 | 92 | 93 => body.memory_argument()?,
        12 | 13 => drop(body.take(16)?),
        21..=34 => drop(body.byte()?),
        84..=91 => {
            body.memory_argument()?;
            body.byte()?;
        }
        // 256 and above are the relaxed instructions; none has an immediate.
        14..=20 | 35..=83 | 94..=275 => {}
        _ => return Err(format!("unknown vector instruction {opcode}")),
    }
    Ok(SIMD | opcode)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let end = self
            .at
            .checked_add(len)
            .filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("ends at byte {} inside an item", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|one| one[0])
    }

    /// Skips a LEB128 number of up to 64 bits, signed or not.
    fn leb(&mut self) -> Result<(), String> {
        for _ in 0..10 {
            if self.byte()? & 0x80 == 0 {
                return Ok(());
            }
        }
        Err("a number is longer than 64 bits".into())
    }

    fn u32(&mut self) -> Result<u32, String> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| "a number is above 32 bits".into());
            }
        }
        Err("a number is longer than 32 bits".into())
    }

    fn name(&mut self) -> Result<String, String> {
        let len = self.u32()? as usize;
        String::from_utf8(self.take(len)?.to_vec()).map_err(|_| "a name is not UTF-8".into())
    }

    fn limits(&mut self) -> Result<(), String> {
        let flags = self.byte()?;
        self.leb()?;
        if flags & 1 == 1 { self.leb() } else { Ok(()) }
    }

    fn memory_argument(&mut self) -> Result<(), String> {
        self.leb()?;
        self.leb()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One import `env.f`, one exported function `g` that splats, replaces a lane and drops.
    const SMALL: &[u8] = &[
        0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 9, 1, 3, b'e', b'n', b'v', 1, b'f', 0,
        0, 3, 2, 1, 0, 7, 5, 1, 1, b'g', 0, 1, 10, 15, 1, 13, 0, 65, 0, 253, 15, 65, 0, 253, 23, 3,
        26, 1, 11,
    ];

    #[test]
    fn imports_exports_and_instructions_are_read() -> Result<(), String> {
        let module = read(SMALL)?;
        assert_eq!(module.imports, ["env.f"]);
        assert_eq!(
            module.exports,
            [Export {
                name: "g".into(),
                kind: 0,
                index: 1
            }]
        );
        assert_eq!(module.functions.len(), 1);
        let codes = [0x41, SIMD | 15, 0x41, SIMD | 23, 0x1A, 0x01, 0x0B];
        assert_eq!(module.functions[0], codes);
        Ok(())
    }

    #[test]
    fn every_truncation_is_refused_or_shorter() {
        for len in 0..SMALL.len() {
            if let Ok(module) = read(&SMALL[..len]) {
                assert!(
                    module.functions.is_empty(),
                    "{len} bytes read as a whole module"
                );
            }
        }
    }
}
