//! Lists the migrations: the files of a folder, in the order of their names.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=migrations");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("migrations");
    let mut names = Vec::new();
    for file in fs::read_dir(&folder)? {
        let name =
            file?.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?;
        names.push(name.strip_suffix(".sql").ok_or("a migration ends in .sql")?.to_owned());
    }
    names.sort();
    let entry =
        |name| format!("({name:?}, include_str!({:?})),", folder.join(format!("{name}.sql")));
    let list: String = names.iter().map(entry).collect();
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), format!("&[{list}]"))?)
}
