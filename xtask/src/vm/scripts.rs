//! The tests of the machine, in the order in which they run.

use anyhow::Result;

use crate::vm::machine::Machine;

/// What every script begins with.
const PRELUDE: &str = include_str!("scripts/prelude.sh");
/// Installs Maru and starts it.
pub(super) const INSTALL: &str = include_str!("scripts/install.sh");

/// One test.
#[derive(Debug)]
pub(super) struct Test {
    /// Its name, for people who run it alone.
    pub(super) name: &'static str,
    /// What happens, one after the other.
    steps: &'static [Step],
}

/// A part of a test.
#[derive(Debug)]
enum Step {
    /// This script succeeds.
    Script(&'static str),
    /// The machine starts anew, as its administrator has it do.
    Reboot,
    /// This script cuts the power at some moment, and the machine starts anew.
    Cut(&'static str),
}

/// The power is cut while the package is installed, then it is installed again.
const CUT: Step = Step::Cut(include_str!("scripts/cut.sh"));
const AGAIN: Step = Step::Script(include_str!("scripts/again.sh"));
const START: Step = Step::Script("systemctl enable --now maru.target");
const ACTIVE: Step = Step::Script(include_str!("scripts/active.sh"));

/// Every test.
pub(super) const TESTS: &[Test] = &[
    Test { name: "active", steps: &[ACTIVE] },
    Test { name: "chat", steps: &[Step::Script(include_str!("scripts/chat.sh"))] },
    Test { name: "wireguard", steps: &[Step::Script(include_str!("scripts/wireguard.sh"))] },
    Test { name: "limits", steps: &[Step::Script(include_str!("scripts/limits.sh"))] },
    Test { name: "isolation", steps: &[Step::Script(include_str!("scripts/isolation.sh"))] },
    Test { name: "security", steps: &[Step::Script(include_str!("scripts/security.sh"))] },
    Test { name: "kill", steps: &[Step::Script(include_str!("scripts/kill.sh")), ACTIVE] },
    Test { name: "hang", steps: &[Step::Script(include_str!("scripts/hang.sh")), ACTIVE] },
    Test { name: "memory", steps: &[Step::Script(include_str!("scripts/memory.sh")), ACTIVE] },
    Test { name: "restart", steps: &[Step::Script(include_str!("scripts/restart.sh")), ACTIVE] },
    Test { name: "clock", steps: &[Step::Script(include_str!("scripts/clock.sh")), ACTIVE] },
    Test { name: "journal", steps: &[Step::Script(include_str!("scripts/journal.sh")), ACTIVE] },
    Test {
        name: "full-disk",
        steps: &[Step::Script(include_str!("scripts/full-disk.sh")), ACTIVE],
    },
    Test { name: "upgrade", steps: &[Step::Script(include_str!("scripts/upgrade.sh")), ACTIVE] },
    Test { name: "timers", steps: &[Step::Script(include_str!("scripts/timers.sh"))] },
    Test {
        name: "reboot",
        steps: &[Step::Reboot, ACTIVE, Step::Script(include_str!("scripts/shutdown.sh"))],
    },
    Test {
        name: "sealed",
        steps: &[
            Step::Script(include_str!("scripts/sealed.sh")),
            Step::Reboot,
            ACTIVE,
            Step::Script(include_str!("scripts/tpm-cleared.sh")),
            ACTIVE,
        ],
    },
    Test { name: "purge", steps: &[Step::Script(include_str!("scripts/purge.sh")), ACTIVE] },
    Test {
        name: "powercut",
        steps: &[
            CUT, AGAIN, CUT, AGAIN, CUT, AGAIN, CUT, AGAIN, CUT, AGAIN, CUT, AGAIN, CUT, AGAIN,
            CUT, AGAIN, CUT, AGAIN, CUT, AGAIN, START, ACTIVE,
        ],
    },
    // The last one: nothing of Maru runs after it.
    Test {
        name: "purge-compared",
        steps: &[Step::Script(include_str!("scripts/purge-compared.sh"))],
    },
];

impl Test {
    /// Runs it, and shows what each script wrote once it has ended; why it failed. Fails itself if the machine does.
    pub(super) fn run(&self, machine: &mut Machine) -> Result<Result<(), String>> {
        for step in self.steps {
            match step {
                Step::Reboot => machine.start_anew("systemctl reboot")?,
                Step::Cut(script) => machine.start_anew(&format!("{PRELUDE}\n{script}"))?,
                Step::Script(script) => {
                    let ended = machine.run(&format!("{PRELUDE}\n{script}"))?;
                    ended.text.lines().for_each(|line| println!("    {line}"));
                    if ended.status != 0 {
                        return Ok(Err(format!("exit status {}", ended.status)));
                    }
                }
            }
        }
        Ok(Ok(()))
    }
}

/// The test of this name.
pub(super) fn by_name(name: &str) -> Result<&'static Test, String> {
    TESTS.iter().find(|test| test.name == name).ok_or_else(|| {
        let names: Vec<_> = TESTS.iter().map(|test| test.name).collect();
        format!("the tests are {}", names.join(", "))
    })
}
