//! Under which name the command runs, and what that changes in how it speaks and leaves.

use std::ffi::OsStr;
use std::path::Path;

/// Which program this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// called by a name whose last component is `cp`: GNU cp, as far as that can be told
    Cp,
    /// itself
    Highwater,
}

/// A command line that can't be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// what is wrong; its first line follows the program's name
    pub message: String,
    /// it is followed by where to find help
    pub hint: bool,
}

impl Program {
    /// The one that was called by `name`, argv\[0\].
    pub fn called(name: Option<&OsStr>) -> Program {
        match name.map(Path::new).and_then(Path::file_name) == Some(OsStr::new("cp")) {
            true => Program::Cp,
            false => Program::Highwater,
        }
    }

    pub fn is_cp(self) -> bool {
        self == Program::Cp
    }

    /// What its messages begin with.
    pub fn name(self) -> &'static str {
        match self {
            Program::Cp => "cp",
            Program::Highwater => "highwater",
        }
    }

    /// What is typed to copy with it.
    pub fn copy_command(self) -> &'static str {
        match self {
            Program::Cp => "cp",
            Program::Highwater => "highwater copy",
        }
    }

    /// The exit status of a command line that can't be meant.
    pub fn usage_status(self) -> u8 {
        match self {
            Program::Cp => 1,
            Program::Highwater => 2,
        }
    }

    /// Where to find help.
    pub fn hint(self) -> String {
        format!("Try '{} --help' for more information.", self.copy_command())
    }
}

impl Usage {
    /// With the hint where to find help.
    pub fn new(message: impl Into<String>) -> Usage {
        Usage { message: message.into(), hint: true }
    }

    /// Without it, where cp has none.
    pub fn bare(message: impl Into<String>) -> Usage {
        Usage { message: message.into(), hint: false }
    }

    /// All of it, without the program's name.
    pub fn text(&self, program: Program) -> String {
        match self.hint {
            true => format!("{}\n{}", self.message, program.hint()),
            false => self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_of_its_name_decides() {
        let check = |name: &str, is_cp| assert_eq!(Program::called(Some(OsStr::new(name))).is_cp(), is_cp);
        check("cp", true);
        check("/usr/local/bin/cp", true);
        check("./cp", true);
        check("highwater", false);
        check("/opt/cp/highwater", false);
        check("cpio", false);
    }
}
