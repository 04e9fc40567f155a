//! Damage everywhere: truncations at every byte, flips of every bit, and damage that is sealed
//! with right digests again. Nothing panics, nothing damaged is taken for whole, and whatever is
//! accepted is canonical: written again, it is the same bytes.

use cultivar_core::package::{Head, Header, Package, PackageError};
use cultivar_testdata::byte_builder::RawPackage;
use cultivar_testdata::small_packages::small_model;

fn open(file: &[u8]) -> Result<(), PackageError> {
    Package::parse(file)?.verify_tensors()
}

#[test]
fn every_truncation_is_refused() {
    let file = small_model().build();
    for n_bytes in 0..file.len() {
        assert!(open(&file[..n_bytes]).is_err(), "{n_bytes} bytes");
    }
}

#[test]
fn every_truncation_of_what_is_streamed_is_refused() {
    let file = small_model().build();
    let file_bytes = file.len() as u64;
    let header = Header::of_file(&file, file_bytes).expect("the header is valid");
    let head_bytes = header.head_bytes as usize;
    for n_bytes in 0..head_bytes {
        assert!(
            Head::parse(&file[..n_bytes], file_bytes).is_err(),
            "head of {n_bytes} bytes"
        );
    }
    let head = Head::parse(&file[..head_bytes], file_bytes).expect("the head is valid");
    let tail_offset = head.tail_offset() as usize;
    for n_bytes in tail_offset..file.len() {
        assert!(
            head.parse_tail(&file[tail_offset..n_bytes]).is_err(),
            "{n_bytes} bytes"
        );
    }
    assert!(head.parse_tail(&file[tail_offset..]).is_ok());
}

#[test]
fn every_flipped_bit_is_refused() {
    let mut file = small_model().build();
    for byte in 0..file.len() {
        for bit in 0..8 {
            file[byte] ^= 1 << bit;
            assert!(open(&file).is_err(), "bit {bit} of byte {byte}");
            file[byte] ^= 1 << bit;
        }
    }
    assert!(open(&file).is_ok());
}

/// Opens a package with right digests; if it is accepted, it must be what a writer writes.
fn check_sealed(package: &RawPackage, what: &str) -> bool {
    let file = package.build();
    let Ok(parsed) = Package::parse(&file) else {
        return false;
    };
    // The engine's own checks come next; they must not panic either.
    let _ = parsed.verify_tensors();
    let _ = parsed.head.config.check_supported();
    let written = parsed.to_bytes();
    assert_eq!(
        written.as_ref(),
        Ok(&file),
        "accepted but not canonical: {what}"
    );
    true
}

#[test]
fn sealed_damage_to_sections_is_refused_or_canonical() {
    let mut n_accepted = 0;
    for section in 0..small_model().sections.len() {
        for byte in 0..small_model().sections[section].bytes.len() {
            for change in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut package = small_model();
                package.sections[section].bytes[byte] ^= change;
                let what = format!("section {section}, byte {byte} ^ {change}");
                n_accepted += usize::from(check_sealed(&package, &what));
            }
        }
    }
    assert!(n_accepted > 100, "damage to free text is accepted");
}

#[test]
fn sealed_truncations_of_sections_are_refused_or_canonical() {
    for section in 0..small_model().sections.len() {
        let n_bytes = small_model().sections[section].bytes.len();
        for n_kept in 0..n_bytes {
            let mut package = small_model();
            package.sections[section].bytes.truncate(n_kept);
            check_sealed(
                &package,
                &format!("section {section} cut to {n_kept} bytes"),
            );
        }
    }
}

/// A package whose directory is given as bytes: as an unknown section first, then renamed.
fn with_directory(directory: &[u8]) -> Vec<u8> {
    let mut package = small_model();
    package.directory.is_absent = true;
    let place = package
        .sections
        .iter()
        .position(|section| section.id > 0x50)
        .expect("a tail");
    let mut section = package.sections[place].clone();
    (section.id, section.flags, section.bytes) = (0x50, 1, directory.to_vec());
    package.sections.insert(place, section);
    package.data.digest = Some(cultivar_core::digest::sha256(directory).0);
    package.build()
}

#[test]
fn sealed_damage_to_the_directory_is_refused_or_canonical() {
    let file = small_model().build();
    let package = Package::parse(&file).expect("the small model is valid");
    let directory = package.head.directory.to_bytes();
    assert_eq!(
        with_directory(&directory),
        file,
        "the builder puts it where it was"
    );
    for byte in 0..directory.len() {
        for change in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut damaged = directory.clone();
            damaged[byte] ^= change;
            let file = with_directory(&damaged);
            if let Ok(parsed) = Package::parse(&file) {
                // Only the digest of a tensor can be changed without breaking another rule.
                assert!(parsed.verify_tensors().is_err(), "byte {byte} ^ {change}");
            }
        }
        let mut cut = directory.clone();
        cut.truncate(byte);
        assert!(
            Package::parse(&with_directory(&cut)).is_err(),
            "cut to {byte} bytes"
        );
    }
}

#[test]
fn random_bytes_are_refused() {
    // Weyl sequence with a mix: enough to hit every early exit, the same on every machine.
    let mut state = 0_u64;
    let mut next = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)) as u8
    };
    let valid = small_model().build();
    for n_bytes in 0..600 {
        let mut file: Vec<u8> = (0..n_bytes).map(|_| next()).collect();
        assert!(open(&file).is_err());
        // And behind a valid magic and version.
        let n_kept = file.len().min(16);
        file[..n_kept].copy_from_slice(&valid[..n_kept]);
        assert!(open(&file).is_err());
    }
}
