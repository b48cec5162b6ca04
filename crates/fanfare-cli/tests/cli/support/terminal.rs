//! A terminal without a person.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::{fs::File, io::AsyncReadExt};

use super::within;

pub(crate) struct Terminal {
    screen: File,
    /// What programs have as stdout.
    device: fs::File,
    shown: Vec<u8>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, vec![]).unwrap();
        let name = OsStr::from_bytes(name.to_bytes());
        let device = fs::File::options().read(true).write(true).open(name).unwrap();
        Self { screen: fs::File::from(screen).into(), device, shown: vec![] }
    }

    pub(crate) fn stdio(&self) -> Stdio {
        self.device.try_clone().unwrap().into()
    }

    /// Waits until the terminal shows this.
    pub(crate) async fn shows(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.shown).contains(text) {
            within(text, self.screen.read_buf(&mut self.shown)).await.unwrap();
        }
    }

    /// All that has been shown, once no program is at it any more.
    pub(crate) async fn text(mut self) -> String {
        drop(self.device);
        // A terminal that nobody is at any more ends with an error.
        let _ = within("what is shown", self.screen.read_to_end(&mut self.shown)).await;
        String::from_utf8(self.shown).unwrap().replace("\r\n", "\n")
    }
}
