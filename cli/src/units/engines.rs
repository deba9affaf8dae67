//! The model of engines that systemd starts.
//!
//! ```text
//! var/lib/maru/up.json ──maru prepare, maru model use──▶ run/maru/inference.env ──systemd──▶ podman run … --model NAME
//! ```

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chassis::durable::{self, Access};
use messages::message;
use services::{
    MODELS, SERVICES, Service,
    quadlet::{variables, variables_file},
};

use super::{ready, systemctl};
use crate::{
    model::folder::is_name,
    output,
    up::{checks, config, saved_options::SavedOptions},
};

/// Every engine and its file of variables, the spare one first.
fn engines() -> impl Iterator<Item = (&'static Service, String)> {
    SERVICES.iter().rev().filter_map(|service| Some((service, variables_file(service)?)))
}

/// Writes the variables of the engines that run by these options, and removes those of the others.
///
/// # Errors
///
/// There is no model, it cannot be used, or it is not in the folder of models, which is all that the containers see. A spare model
/// of which that is true is named, and its engine does not start.
pub(crate) fn tell(root: &Path, told: &SavedOptions) -> anyhow::Result<()> {
    let path = match &told.model {
        Some(path) => path.clone(),
        None => checks::only_model(root)?,
    };
    let usable = |path: &Path| {
        let model = checks::model(path)?;
        let Some(name) = name_in_folder(root, &model.path) else {
            bail!(message!("model-outside", path = model.path.display(), folder = folder(root)));
        };
        Ok((model, name))
    };
    let first = usable(&path)?;
    let spare = told.spare_model.as_deref().map(usable).transpose();
    // A spare model that cannot be used does not keep the first engine from its start.
    if let Err(error) = &spare {
        output::note(format!("{error:#}"));
    }
    let engine = told.engine();
    for (service, file) in engines() {
        let file = root.join(file);
        let chosen = match &spare {
            Ok(Some(own)) if service.is_spare() => Some(own),
            Err(_) if service.is_spare() => None,
            Ok(_) | Err(_) => Some(&first),
        };
        if let Some((model, name)) = chosen.filter(|_| told.runs(service)) {
            let text = variables(service, name, model.size, &engine);
            durable::replace(&file, Access::READABLE, text.as_bytes())
                .with_context(|| message!("file-not-saved", path = file.display()))?;
        } else {
            remove(&file)?;
        }
    }
    Ok(())
}

/// Removes the variables: no engine starts without.
pub(crate) fn forget(root: &Path) -> anyhow::Result<()> {
    engines().try_for_each(|(_, file)| remove(&root.join(file)))
}

/// Changes the running engines to the model at `path`, one after the other, and saves the choice. If one does not load it, all
/// return to the former one.
pub(crate) async fn use_model(root: &Path, path: &Path) -> anyhow::Result<()> {
    let before = SavedOptions::load(root)?;
    let after = SavedOptions { model: Some(path.to_owned()), ..before.clone() };
    if let Err(error) = change(root, &after).await {
        let reason = format!("{error:#}");
        change(root, &before).await.with_context(|| message!("model-not-back", reason))?;
        bail!(message!("model-stays", reason));
    }
    after.store(root)
}

async fn change(root: &Path, told: &SavedOptions) -> anyhow::Result<()> {
    tell(root, told)?;
    let settings = config::coordinator(root)?;
    // Those without variables do not start.
    for (service, _) in engines().filter(|(_, file)| root.join(file).exists()) {
        systemctl::restart(&format!("{}.service", service.unit())).await?;
        ready::wait(service, service.ready.patience, root, &settings).await?;
    }
    Ok(())
}

/// The name of a model in the folder of models; `None` if it is elsewhere.
fn name_in_folder(root: &Path, path: &Path) -> Option<String> {
    let folder = fs::canonicalize(root.join(MODELS)).ok()?;
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    is_name(name).then(|| name.to_owned())
}

fn folder(root: &Path) -> String {
    let path: PathBuf = root.join(MODELS);
    path.display().to_string()
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| message!("file-not-deleted", path = file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instance with one model in its folder.
    fn root() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        for folder in [MODELS, "run/maru"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let model = root.path().join(MODELS).join("tiny.gguf");
        fs::write(&model, model_sample::tiny().bytes()).unwrap();
        (root, model)
    }

    fn text(root: &Path, name: &str) -> Option<String> {
        fs::read_to_string(root.join("run/maru").join(name)).ok()
    }

    #[test]
    fn each_engine_that_runs_is_told_the_model_and_its_limits() {
        let (root, model) = root();
        let told = SavedOptions { threads: Some(3), ..SavedOptions::default() };

        tell(root.path(), &told).unwrap();

        let expected =
            "MARU_MODEL=tiny.gguf\nMARU_THREADS=3\nMARU_MEMORY_MIB=2561\nMARU_OPTIONS=\n";
        assert_eq!(text(root.path(), "inference.env").as_deref(), Some(expected));
        let spare = expected.replace("OPTIONS=", "OPTIONS=--load room");
        assert_eq!(text(root.path(), "inference-2.env"), Some(spare));
        let small = root.path().join(MODELS).join("small.gguf");
        fs::copy(&model, &small).unwrap();
        let two = SavedOptions { model: Some(model), spare_model: Some(small), ..told.clone() };
        tell(root.path(), &two).unwrap();
        let spare = text(root.path(), "inference-2.env").unwrap();
        assert!(spare.contains("MODEL=small.gguf\n") && spare.contains("--load asked"), "{spare}");
        assert!(text(root.path(), "inference.env").unwrap().contains("MODEL=tiny.gguf\n"));
        fs::remove_file(two.spare_model.as_ref().unwrap()).unwrap();
        tell(root.path(), &two).unwrap();
        assert_eq!(text(root.path(), "inference-2.env"), None);
        assert!(text(root.path(), "inference.env").is_some(), "the first engine runs");
        tell(root.path(), &SavedOptions { engines: Some(1), model: two.model, ..told }).unwrap();
        assert_eq!(text(root.path(), "inference.env").as_deref(), Some(expected));
        assert_eq!(text(root.path(), "inference-2.env"), None);
        forget(root.path()).unwrap();
        assert_eq!(text(root.path(), "inference.env"), None);
    }

    #[test]
    fn a_model_that_the_containers_do_not_see_is_refused() {
        let (root, model) = root();
        let outside = root.path().join("outside.gguf");
        fs::copy(&model, &outside).unwrap();
        let spaced = root.path().join(MODELS).join("a b.gguf");
        fs::copy(&model, &spaced).unwrap();
        let link = root.path().join(MODELS).join("link.gguf");
        std::os::unix::fs::symlink(&outside, &link).unwrap();

        for path in [outside, spaced, link] {
            let told = SavedOptions { model: Some(path), ..SavedOptions::default() };
            let error = tell(root.path(), &told).unwrap_err().to_string();
            assert!(error.contains("maru model pull"), "{error}");
        }
        assert_eq!(text(root.path(), "inference.env"), None);
    }
}
