//! The id to go on behind, kept in a file.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use fanfare_client::EventId;

use crate::failure::Failure;

/// The file holds the id and a line's end. It is replaced as a whole, so that it holds one id or the
/// next whenever the program is killed.
#[derive(Debug)]
pub(super) struct Resume {
    path: PathBuf,
    /// In the same folder, so that it can be renamed.
    next: PathBuf,
    id: Option<EventId>,
}

impl Resume {
    /// What is kept at `path`: nothing if there is no such file, or an empty one.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        // Where it is a link, the file that it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let id = read(&path)?;
        let mut next = path.clone().into_os_string();
        next.push(".fanfare-next");
        let resume = Self { path, next: next.into(), id };
        // Found out now rather than at the first event.
        let trial = fs::write(&resume.next, "").and_then(|()| fs::remove_file(&resume.next));
        trial.map_err(|source| resume.unwritable(source))?;
        Ok(resume)
    }

    pub(super) fn id(&self) -> Option<EventId> {
        self.id.clone()
    }

    pub(super) fn save(&mut self, id: &str) -> Result<(), Failure> {
        if id == self.id.as_ref().map_or("", EventId::as_str) {
            return Ok(());
        }
        replace(&self.path, &self.next, id).map_err(|source| self.unwritable(source))?;
        self.id = EventId::new(id.to_owned()).ok();
        Ok(())
    }

    fn unwritable(&self, source: io::Error) -> Failure {
        Failure::File { action: "write", path: self.path.clone(), source }
    }
}

fn read(path: &Path) -> Result<Option<EventId>, Failure> {
    let path = path.to_owned();
    // A device, such as /dev/null, must not become a file.
    if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Failure::NoFile { path });
    }
    match fs::read(&path) {
        Ok(text) => parse(text).map_err(|why| Failure::NoId { path, why }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::File { action: "read", path, source }),
    }
}

fn parse(text: Vec<u8>) -> Result<Option<EventId>, String> {
    let text = String::from_utf8(text).map_err(|_| "it is not text")?;
    if text.is_empty() {
        return Ok(None);
    }
    let id = text.strip_suffix('\n').unwrap_or(&text);
    EventId::new(id.to_owned()).map(Some).map_err(|error| error.to_string())
}

fn replace(path: &Path, next: &Path, id: &str) -> io::Result<()> {
    fs::write(next, format!("{id}\n"))?;
    fs::rename(next, path)
}
