//! No file of a crate imports itself over others: whoever reads one file need not read a circle of them to understand it.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use self::source::{Module, Named, Use};

/// A module's names from the crate's root.
type Name = Vec<String>;

/// What a path leads to.
#[derive(Debug)]
enum Target {
    Module(Name),
    /// Something that this file defines, or hands on under a name of its own.
    Item(PathBuf),
    /// Another crate, or what the path's first word alone brought in.
    Elsewhere,
}

/// The modules of a crate.
#[derive(Debug, Default)]
struct Crate {
    modules: BTreeMap<Name, (PathBuf, Module)>,
}

/// For each file the files that it imports from, and where it first does.
type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

impl Crate {
    /// Reads the crate whose first file this is. `read` gives the text of a file.
    fn read(root: &Path, read: &dyn Fn(&Path) -> String) -> Self {
        let mut all = Self::default();
        let folder = root.parent().unwrap();
        all.add(Vec::new(), root, folder, source::read(&read(root)), read);
        all
    }

    /// Adds a module that stands in `file`, and whose children's files stand in `folder`.
    fn add(
        &mut self,
        name: Name,
        file: &Path,
        folder: &Path,
        mut module: Module,
        read: &dyn Fn(&Path) -> String,
    ) {
        for (child, inner) in &mut module.children {
            let below = folder.join(&*child);
            let name: Name = name.iter().cloned().chain([child.clone()]).collect();
            match inner.take() {
                Some(inner) => self.add(name, file, &below, inner, read),
                None => {
                    let file = below.with_extension("rs");
                    let module = source::read(&read(&file));
                    self.add(name, &file, &below, module, read);
                }
            }
        }
        self.modules.insert(name, (file.to_owned(), module));
    }

    fn child(&self, of: &Name, name: &str) -> Option<Name> {
        let child: Name = of.iter().cloned().chain([name.to_owned()]).collect();
        self.modules.contains_key(&child).then_some(child)
    }

    /// What a path means in a module.
    fn means(&self, reader: &Name, path: &[String], seen: &mut BTreeSet<Name>) -> Target {
        let mut at = reader.clone();
        let mut rest = path;
        while let [first, after @ ..] = rest {
            match first.as_str() {
                "crate" => at = Vec::new(),
                "self" => {}
                "super" => drop(at.pop()),
                _ if rest.len() == path.len() => return self.by_name(reader, rest, seen),
                _ => break,
            }
            rest = after;
        }
        let is_own = at == *reader;
        self.below(&at, rest, is_own, seen)
    }

    /// What a path means that begins with a name of the module.
    fn by_name(&self, reader: &Name, path: &[String], seen: &mut BTreeSet<Name>) -> Target {
        let first = &path[0];
        let module = &self.modules[reader].1;
        let is_known = self.child(reader, first).is_some()
            || module.uses.iter().any(|it| it.alias == *first && it.named.path != path);
        if is_known { self.below(reader, path, true, seen) } else { Target::Elsewhere }
    }

    /// What a path means below a module. Who `is_own` sees the module's own imports.
    fn below(&self, at: &Name, path: &[String], is_own: bool, seen: &mut BTreeSet<Name>) -> Target {
        let [first, rest @ ..] = path else { return Target::Module(at.clone()) };
        let (file, module) = &self.modules[at];
        let here = Target::Item(file.clone());
        let child = self.child(at, first);
        if let (Some(child), false) = (&child, rest.is_empty()) {
            return self.below(child, rest, false, seen);
        }
        let key: Name = at.iter().chain([first]).cloned().collect();
        if !seen.insert(key) {
            return here;
        }
        let imports: Vec<&Use> = module.uses.iter().filter(|it| it.alias == *first).collect();
        let mut found = None;
        for import in imports {
            if !is_own && !import.is_public {
                return here;
            }
            match self.means(at, &import.named.path, seen) {
                Target::Module(to) if !rest.is_empty() => {
                    return self.below(&to, rest, false, seen);
                }
                Target::Module(to) => found = Some(Target::Module(to)),
                Target::Item(file) => return Target::Item(file),
                Target::Elsewhere => found = Some(Target::Elsewhere),
            }
        }
        if let Some(found) = found.or(child.map(Target::Module)) {
            return found;
        }
        if module.items.contains(first) {
            return here;
        }
        for glob in module.uses.iter().filter(|it| it.alias == "*" && (is_own || it.is_public)) {
            if let Target::Module(to) = self.means(at, &glob.named.path, &mut seen.clone())
                && self.gives(&to, first)
            {
                return self.below(&to, path, false, seen);
            }
        }
        here
    }

    /// Whether a module has something of this name for others.
    fn gives(&self, at: &Name, name: &str) -> bool {
        let module = &self.modules[at].1;
        module.items.contains(name)
            || module.uses.iter().any(|it| it.is_public && it.alias == name)
            || self.child(at, name).is_some()
    }

    /// Which file imports from which. An import of a module is none; what is taken from it by a path is one.
    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (name, (file, module)) in &self.modules {
            let mut add = |to: PathBuf, named: &Named| {
                if to != *file {
                    let place = format!("line {}: {}", named.line, named.path.join("::"));
                    imports.entry(file.clone()).or_default().entry(to).or_insert(place);
                }
            };
            for import in &module.uses {
                match self.means(name, &import.named.path, &mut BTreeSet::new()) {
                    Target::Item(to) => add(to, &import.named),
                    Target::Module(to) if import.alias == "*" => {
                        add(self.modules[&to].0.clone(), &import.named);
                    }
                    Target::Module(_) | Target::Elsewhere => {}
                }
            }
            for named in &module.paths {
                // What came by an import of its first word alone was counted there.
                let first = named.path.get(..1).unwrap_or_default();
                if self.child(name, &first[0]).is_none()
                    && matches!(self.means(name, first, &mut BTreeSet::new()), Target::Item(_))
                {
                    continue;
                }
                if let Target::Item(to) = self.means(name, &named.path, &mut BTreeSet::new()) {
                    add(to, named);
                }
            }
        }
        imports
    }
}

/// Groups of files of which each reaches each.
fn circles(imports: &Imports) -> Vec<BTreeSet<&PathBuf>> {
    let reached = |from: &PathBuf| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(file) = next.pop() {
            for to in imports.get(&file).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<PathBuf>> =
        imports.keys().map(|file| (file, reached(file))).collect();
    let mut circles: Vec<BTreeSet<&PathBuf>> = Vec::new();
    for (file, to) in &reached {
        if to.contains(*file) && !circles.iter().any(|circle| circle.contains(file)) {
            let is_back = |it: &&&PathBuf| to.contains(**it) && reached[**it].contains(*file);
            circles.push(reached.keys().filter(is_back).copied().collect());
        }
    }
    circles
}

/// The circles of the crate whose first file this is, as people read them.
fn report(root: &Path, read: &dyn Fn(&Path) -> String) -> Vec<String> {
    let imports = Crate::read(root, read).imports();
    let folder = root.parent().unwrap();
    let shown = |file: &Path| file.strip_prefix(folder).unwrap().display().to_string();
    let told = circles(&imports).into_iter().map(|circle| {
        let mut lines = vec![format!("{} files in {}", circle.len(), folder.display())];
        for from in &circle {
            let inner = imports[*from].iter().filter(|(to, _)| circle.contains(to));
            lines.extend(
                inner.map(|(to, at)| format!("  {} imports {} ({at})", shown(from), shown(to))),
            );
        }
        lines.join("\n")
    });
    told.collect()
}

#[test]
fn no_file_imports_itself_over_others() {
    let metadata = super::metadata(&["--no-deps"]);
    let mut found = Vec::new();
    let mut crates = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        for root in ["src/lib.rs", "src/main.rs"].map(|root| manifest.with_file_name(root)) {
            if root.exists() {
                crates += 1;
                found.extend(report(&root, &|file| {
                    fs::read_to_string(file).unwrap_or_else(|it| panic!("{}: {it}", file.display()))
                }));
            }
        }
    }
    assert!(crates > 30, "{crates} crates have sources");
    assert!(found.is_empty(), "files that import each other:\n{}", found.join("\n\n"));
}

/// The circles of a crate of these files.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let text = |path: &Path| {
        let name = path.strip_prefix("src").unwrap().to_str().unwrap();
        let file = files.iter().find(|(known, _)| *known == name);
        file.unwrap_or_else(|| panic!("no {name}")).1.to_owned()
    };
    report(Path::new("src/lib.rs"), &text)
}

#[test]
fn two_files_that_import_each_other_are_told_with_their_lines() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\npub use a::A;"),
        ("a.rs", "\nuse crate::b::{self, B as Other};\npub struct A(Other);"),
        ("b.rs", "pub struct B;\n\nfn f() {\n    log!(x = crate::A::new());\n}"),
    ];
    let told = "2 files in src\n  a.rs imports b.rs (line 2: crate::b::B)\n  \
                b.rs imports a.rs (line 4: crate::A::new)";
    assert_eq!(found(&files), [told]);
}

#[test]
fn a_parent_and_a_child_that_use_each_other_are_a_circle() {
    let parent = "mod child;\npub struct Thing;\nfn f() { child::g() }";
    let child = "use super::Thing;\npub fn g() {}";
    assert_eq!(found(&[("lib.rs", parent), ("child.rs", child)]).len(), 1);
    let declares = "mod child;\npub struct Thing;";
    assert_eq!(found(&[("lib.rs", declares), ("child.rs", child)]), [""; 0]);
    assert_eq!(found(&[("lib.rs", parent), ("child.rs", "pub fn g() {}")]), [""; 0]);
}

#[test]
fn what_is_handed_on_is_imported_from_where_it_stands() {
    let lib = "mod a;\nmod b;\npub use b::B;\nuse a::hidden;";
    let b = "pub struct B;";
    assert_eq!(found(&[("lib.rs", lib), ("a.rs", "use crate::B;"), ("b.rs", b)]), [""; 0]);
    let star = "mod a;\nmod b;\npub use b::*;\npub use a::A;";
    assert_eq!(found(&[("lib.rs", star), ("a.rs", "use crate::B;"), ("b.rs", b)]), [""; 0]);
    // An import that is the parent's own business is the parent's word.
    let from_parent = "use crate::B;\npub fn hidden() {}";
    let own = lib.replace("pub use b", "use b");
    assert_eq!(found(&[("lib.rs", &own), ("a.rs", from_parent), ("b.rs", b)]).len(), 1);
}

#[test]
fn a_circle_goes_over_several_files_and_modules_within_them() {
    let files = [
        ("lib.rs", "mod a { pub mod deep; }\nmod b;\nmod c;"),
        ("a/deep.rs", "use crate::{c, b::inner::{X, Y}};\nfn f() { c::run() }"),
        (
            "b.rs",
            "pub mod inner {\n    pub use crate::c::Y;\n    pub struct X(super::super::c::Y);\n}",
        ),
        ("c.rs", "pub struct Y;\nmod d;\npub fn run() { self::d::go() }"),
        ("c/d.rs", "#[serde(with = \"hex\")]\npub fn go() {}\nuse crate::a::deep as hex;"),
    ];
    let told = found(&files);
    assert!(told.len() == 1 && told[0].starts_with("4 files"), "{told:?}");
    assert!(told[0].contains("c/d.rs imports a/deep.rs (line 1: hex::serialize)"), "{told:?}");
}

#[test]
fn tests_comments_and_texts_import_nothing() {
    let b = r##"
        //! [`crate::a::A`] /* "
        /* use crate::a::A; */
        #[cfg(test)]
        use crate::a::A;
        const S: (&str, char, &str) = ("use crate::a::A;", '"', r#"crate::a::A "quoted""#);
        fn f<'a>(x: &'a str) {}
        #[cfg(test)]
        #[derive(Debug)]
        impl B { fn g() -> crate::a::A {} }
        struct B { x: u8, #[cfg(test)] y: crate::a::A, z: u8 }
        #[cfg(test)]
        mod tests;
    "##;
    let files = [("lib.rs", "mod a;\nmod b;"), ("a.rs", "pub struct A(crate::b::B);"), ("b.rs", b)];
    assert_eq!(found(&files), [""; 0]);
    let shipped = b.replace("#[cfg(test)] y:", "y:");
    let files = [files[0], files[1], ("b.rs", &shipped)];
    assert_eq!(found(&files).len(), 1);
}
