//! Backups: archives as they are, and as they were changed on their way.
#![no_main]

use std::collections::BTreeMap;

use cli::archive::{ArchiveError, Writer, read};
use fuzz::{Input, edit};
use libfuzzer_sys::fuzz_target;

type Files = BTreeMap<String, Vec<u8>>;

fn unpack(archive: &[u8]) -> Result<Files, ArchiveError> {
    let mut files = Files::new();
    let file = |name: &str, content: &mut dyn std::io::Read| {
        // It leads nowhere but below the folder where it is unpacked.
        let mut steps = name.split('/');
        assert!(steps.all(|step| !step.is_empty() && step != "." && step != ".."), "{name:?}");
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(ArchiveError::Io)?;
        assert!(files.insert(name.to_owned(), bytes).is_none(), "{name:?} is there twice");
        Ok(())
    };
    read(archive, |_| Ok(()), file).map(|()| files)
}

fuzz_target!(|bytes: &[u8]| {
    let _ = unpack(bytes);
    let mut input = Input::new(bytes);
    let mut files = Files::new();
    for _ in 0..input.below(4) {
        let name = String::from_utf8_lossy(input.bytes()).into_owned();
        files.insert(name, input.bytes().to_vec());
    }
    let mut writer = Writer::new(Vec::new(), input.bytes()).unwrap();
    files.retain(|name, content| writer.add(name, content.len() as u64, &content[..]).is_ok());
    let mut archive = writer.finish().unwrap();
    assert_eq!(unpack(&archive).unwrap(), files, "it is read as it was written");

    edit(&mut archive, input.rest());
    // What is no part of a file, such as the time in a header, may be changed.
    if let Ok(read) = unpack(&archive) {
        assert_eq!(read, files, "a changed file was taken");
    }
});
