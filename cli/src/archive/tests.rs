use proptest::{collection::vec, prelude::*};

use super::*;

type Files = Vec<(String, Vec<u8>)>;

fn write(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), b"{}").unwrap();
    for (name, content) in files {
        writer.add(name, content.len() as u64, *content).unwrap();
    }
    writer.finish().unwrap()
}

fn unpack(archive: &[u8]) -> Result<Files, ArchiveError> {
    let (mut description, mut files) = (Vec::new(), Vec::new());
    let read = read(
        archive,
        |about| {
            description = about.to_vec();
            Ok(())
        },
        |name, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(broken)?;
            files.push((name.to_owned(), bytes));
            Ok(())
        },
    );
    // Only at its end is it known that nothing was changed.
    read.map(|()| {
        assert_eq!(description, b"{}");
        files
    })
}

/// An archive with an entry that [`Writer`] would not make.
fn with(kind: EntryType, name: &[u8], link: &str) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut entry = |kind: EntryType, name: &[u8], content: &[u8]| {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        tar.append(&header, content).unwrap();
    };
    entry(EntryType::Regular, ABOUT.as_bytes(), b"{}");
    entry(kind, name, b"");
    let sum = |content: &[u8]| {
        let mut summed = Summed::new(content);
        io::copy(&mut summed, &mut io::sink()).unwrap();
        summed.end()
    };
    let sums = line(&sum(b"{}"), ABOUT) + &line(&sum(b""), &String::from_utf8_lossy(name));
    entry(EntryType::Regular, SUMS.as_bytes(), sums.as_bytes());
    tar.into_inner().unwrap()
}

#[test]
fn what_would_lead_elsewhere_is_refused() {
    assert_eq!(unpack(&with(EntryType::Regular, b"etc/maru/a", "")).unwrap().len(), 1);

    for name in ["../a", "a/../../b", "/etc/shadow", "a//b", "./a", "a/.", "a\nb", "a\\b", ""] {
        let refused = unpack(&with(EntryType::Regular, name.as_bytes(), ""));
        assert!(matches!(refused, Err(ArchiveError::Outside(_))), "{name:?}: {refused:?}");
    }
    assert!(matches!(
        unpack(&with(EntryType::Regular, b"a\xff", "")),
        Err(ArchiveError::Outside(_))
    ));
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Directory,
        EntryType::GNULongName,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::Continuous,
    ] {
        let refused = unpack(&with(kind, b"etc/maru/a", "/etc/shadow"));
        assert!(matches!(refused, Err(ArchiveError::NotAFile(_))), "{kind:?}: {refused:?}");
    }
}

#[test]
fn a_file_that_is_there_twice_is_refused() {
    let twice = write(&[("a", b"1"), ("a", b"2")]);

    assert!(matches!(unpack(&twice), Err(ArchiveError::Twice(_))));
}

#[test]
fn a_file_that_shrinks_while_it_is_added_is_noticed() {
    let mut writer = Writer::new(Vec::new(), b"{}").unwrap();

    assert!(matches!(writer.add("a", 3, &b"12"[..]), Err(ArchiveError::Changed(_))));
}

#[test]
fn a_name_that_could_not_be_read_again_is_not_written() {
    let mut writer = Writer::new(Vec::new(), b"{}").unwrap();
    let long = "a".repeat(200);

    for name in ["../a", "/a", "", "a\n", ABOUT, SUMS, &long] {
        let refused = writer.add(name, 0, io::empty());
        assert!(matches!(refused, Err(ArchiveError::Name(_))), "{name}: {refused:?}");
    }
    assert_eq!(unpack(&writer.finish().unwrap()).unwrap(), []);
}

#[test]
fn no_archive_at_all_is_said_to_be_none() {
    for text in [&b""[..], b"MZ", &[b'x'; 4096]] {
        assert!(matches!(unpack(text), Err(ArchiveError::NotOne)));
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(files in prop::collection::btree_map("[a-z]{1,9}(/[a-z 가]{1,9}){0,2}x", vec(any::<u8>(), 0..2000), 0..6)) {
        let files: Files = files.into_iter().collect();
        let listed: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();

        prop_assert_eq!(unpack(&write(&listed)).unwrap(), files);
    }

    /// Wherever it is cut before its end marks, and whatever bit of what matters is changed.
    #[test]
    fn a_cut_or_changed_archive_is_refused(content in vec(any::<u8>(), 1..1500), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let archive = write(&[("etc/maru/a.toml", &content), ("b", b"1")]);
        // Two blocks of zeros end it, and whatever fills the block before.
        let used = archive.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let at = at.index(used);
        prop_assert!(unpack(&archive[..at]).is_err());

        let mut changed = archive.clone();
        changed[at] ^= 1 << bit;
        // What is changed in a header's unused bytes, or in what fills a block, is not in the files.
        if let Ok(read) = unpack(&changed) {
            prop_assert_eq!(read, unpack(&archive).unwrap());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..3000)) {
        let _ = read(&bytes[..], |_| Ok(()), |_, _| Ok::<_, ArchiveError>(()));
    }
}
