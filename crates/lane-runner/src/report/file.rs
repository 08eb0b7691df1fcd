//! Reports that are written to files, in the form that the file's name asks for.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::report::{Judged, html, json, junit, text};

/// Where a report goes, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportFile {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Junit,
    Text,
}

impl ReportFile {
    /// Writes the report, and the folder that it stands in.
    pub(crate) fn write(&self, judged: &Judged<'_>) -> Result<(), WriteReportError> {
        let rendered = match self.form {
            Form::Html => html::render(judged),
            Form::Json => json::render(judged),
            Form::Junit => junit::render(judged),
            Form::Text => text::render(judged),
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let write = || {
            fs::create_dir_all(folder)?;
            fs::write(&self.path, rendered)
        };
        write().map_err(|source| WriteReportError { path: self.path.clone(), source })
    }

    /// Where it goes.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(text);
        let form = match path.extension().and_then(OsStr::to_str) {
            Some("html") => Form::Html,
            Some("json") => Form::Json,
            Some("xml") => Form::Junit,
            Some("txt") => Form::Text,
            _ => return Err("expected a name that ends in .html, .json, .xml (JUnit) or .txt".to_owned()),
        };
        Ok(Self { path, form })
    }
}

/// The check was made, and its report is not where it should be.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report {}", path.display())]
pub(crate) struct WriteReportError {
    path: PathBuf,
    source: io::Error,
}
